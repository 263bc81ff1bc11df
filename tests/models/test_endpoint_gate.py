from textreel.models.endpoint_gate import Gate


def test_overload_cuts_once_for_all_that_were_under_way() -> None:
    gate = Gate(url="u", most=10)
    gate.overloaded(started_s=1.0, now_s=2.0, rest_s=None)
    gate.overloaded(started_s=1.5, now_s=2.1, rest_s=None)
    assert gate.limit == 7.0
    gate.overloaded(started_s=2.5, now_s=3.0, rest_s=None)
    assert gate.limit == 7.0 * 0.7


def test_answers_raise_the_limit_up_to_the_most_and_it_never_falls_below_one() -> None:
    gate = Gate(url="u", most=4)
    for step in range(30):
        gate.overloaded(started_s=step, now_s=step, rest_s=None)
    assert gate.limit == 1.0
    gate.answers()
    assert gate.limit == 3.0
    for _ in range(20):
        gate.answers()
    assert gate.limit == 4.0


def test_a_server_is_left_alone_as_long_as_it_asks() -> None:
    gate = Gate(url="u", most=2)
    gate.overloaded(started_s=0.0, now_s=10.0, rest_s=5.0)
    assert not gate.free(14.9)
    assert gate.free(15.0)


def test_an_unreached_server_rests_longer_each_time() -> None:
    gate, rests = Gate(url="u", most=2), []
    now_s = 0.0
    for _ in range(8):
        gate.unreached(now_s)
        rests.append(gate.rest_until_s - now_s)
        now_s = gate.rest_until_s
    assert rests == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    gate.unreached(now_s - 1)  # told by another request of the same time
    assert gate.rest_until_s == now_s


def test_the_least_busy_is_found_by_its_share() -> None:
    small, large = Gate(url="a", most=2, in_flight=1), Gate(url="b", most=10, in_flight=2)
    assert min((small, large), key=Gate.load) is large
