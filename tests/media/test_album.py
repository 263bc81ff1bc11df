import numpy as np

from textreel.media.album import FIRST, Album


def picture(number: int) -> np.ndarray:
    return np.arange(number, number + 24, dtype=np.uint8).reshape(3, 2, 4)


def test_pictures_come_back_in_order_of_time() -> None:
    album = Album()
    for stamp in (5, 1, 9):
        album.add(stamp, picture(stamp))
    assert (len(album), album.stamps, 9 in album, 2 in album) == (3, [1, 5, 9], True, False)
    assert np.array_equal(album.take(), np.stack([picture(stamp) for stamp in (1, 5, 9)]))
    assert len(album) == 0


def test_it_grows_and_holds_no_more_than_its_pictures() -> None:
    album, count = Album(), 5 * FIRST
    for stamp in range(count):
        album.add(stamp, picture(stamp))
    pictures = album.take()
    assert np.array_equal(pictures, np.stack([picture(stamp) for stamp in range(count)]))
    assert pictures.base.nbytes == count * 24


def test_the_channels_of_a_pixel_lie_side_by_side() -> None:
    album = Album()
    album.add(0, picture(0))
    assert album.take().transpose(0, 2, 3, 1).flags.c_contiguous
