"""Threads that ask a model while another one fits it again: every answer is wholly of one model."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import fastcf
from choice_models import CHOICE_MODELS
from fastcf.solvers import ALS

SECONDS = 2.0  # the least time that threads work; a slow machine needs more for what is asked of them
N_ASKING = 8


def part(seed, users, items):
    """Return ratings of some users and items, numbered from anywhere."""
    made = fastcf.data.make_ratings(len(users), len(items), 1_200, random_state=seed)
    rows, columns, values = made.to_coo()
    return fastcf.Ratings.from_coo(np.asarray(users)[rows], np.asarray(items)[columns], values)


# Two sets of ratings of different sizes, whose ids overlap: rows of one beside arrays of the other are told at once.
FIRST = part(0, range(70), range(50))
SECOND = part(1, range(40, 130), range(20, 95))
BOTH = {name: np.concatenate([getattr(r, name).ids for r in (FIRST, SECOND)]) for name in ("users", "items")}
PAIRS = np.stack([np.resize(BOTH["users"], 400), np.resize(BOTH["items"], 400)], axis=1)
ASKED = [0, 45, 65, 100, 129, 10_000]
HISTORY = ([(0, 25), (0, 30), (0, 45), (1, 22)], [5.0, 1.0, 4.0, 3.0])

FAMILIES = {
    "bias": lambda: fastcf.BiasModel(),
    "sgd": lambda: fastcf.MatrixFactorization(6, n_epochs=3, reg=1.0, random_state=0),
    "als": lambda: fastcf.MatrixFactorization(6, solver=ALS(), normalize="item", n_epochs=3, reg=1.0, random_state=0),
    "labels": lambda: fastcf.MatrixFactorization(6, cost="logistic", threshold=4, reg=1.0, n_epochs=3, random_state=0),
    **CHOICE_MODELS,
}


def lists(found):
    return found.items, found.scores


QUESTIONS = {
    "predict": lambda model: (model.predict(PAIRS),),
    "predict_matrix": lambda model: (model.predict_matrix(),),
    "predict_matrix of some": lambda model: (model.predict_matrix(ASKED),),
    "recommend": lambda model: lists(model.recommend(ASKED, 8)),
    "recommend seen": lambda model: lists(model.recommend(ASKED, 8, exclude_seen=False, min_score=0.5)),
    "recommend newcomers": lambda model: lists(model.recommend(n=5, history=HISTORY)),
    "predict newcomers": lambda model: (model.predict([(0, 30), (1, 45)], history=HISTORY),),
    "fold_in": lambda model: (model.fold_in(*HISTORY).predict_matrix(),),
    "score": lambda model: (np.array(model.score(FIRST)),),
    "state": lambda model: state_of(model.state),
}


def state_of(state):
    factors = state.scores.as_factors()
    biases = () if factors is None else (factors.user_bias, factors.item_bias)
    return state.users.ids, state.items.ids, state.seen.indices, *biases


def same(first, second):
    return len(first) == len(second) and all(
        a.shape == b.shape and np.array_equal(a, b) for a, b in zip(first, second, strict=True)
    )


class Crew:
    """Threads that run until they have done enough; the first error of any is raised at the end."""

    def __init__(self):
        self.stop = threading.Event()
        self.errors = []
        self.threads = []

    def run(self, task):
        def until_stopped():
            try:
                while not self.stop.is_set():
                    task()
            except BaseException as error:
                self.errors.append(error)
                self.stop.set()

        self.threads.append(threading.Thread(target=until_stopped))

    def work(self, seconds, enough=lambda: True):
        """Run for `seconds` and on until `enough()`, at most two minutes, or until a thread stops all."""
        began = time.monotonic()
        for thread in self.threads:
            thread.start()
        self.stop.wait(seconds)
        while not (enough() or self.stop.wait(0.05)) and time.monotonic() < began + 120:
            pass
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)
        if self.errors:
            raise self.errors[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_get_answers_of_the_old_model_or_of_the_new_one(family):
    known = [FAMILIES[family]().fit(ratings) for ratings in (FIRST, SECOND)]
    asked = dict(QUESTIONS)
    if family in CHOICE_MODELS:  # no score may reach the least one that is asked for
        asked["recommend seen"] = lambda model: lists(model.recommend(ASKED, 8, exclude_seen=False))
    if family == "softmax":  # towers take features of newcomers
        asked = {name: question for name, question in asked.items() if name != "fold_in" and "newcomers" not in name}
    if hasattr(known[0], "similar_items") and family != "bias":
        asked["similar_items"] = lambda model: tuple(model.similar_items([25, 40, 3], 4))
    answers = {name: [question(model) for model in known] for name, question in asked.items()}
    assert not any(same(*both) for name, both in answers.items())
    model = FAMILIES[family]().fit(FIRST)
    crew, counts, lock = Crew(), {}, threading.Lock()
    turn = [0]

    def refit():
        turn[0] += 1
        model.fit(SECOND if turn[0] % 2 else FIRST)

    def asking(number):
        names = list(asked)
        at = [number]

        def ask():
            name = names[at[0] % len(names)]
            at[0] += 1
            got = asked[name](model)
            which = [same(got, answer) for answer in answers[name]]
            assert any(which), f"{name}: an answer of neither model"
            with lock:
                counts[name, which.index(True)] = counts.get((name, which.index(True)), 0) + 1

        return ask

    crew.run(refit)
    for number in range(N_ASKING):
        crew.run(asking(number))

    def both_answered():
        with lock:
            answered = set(counts)
        return {which for _, which in answered} == {0, 1} and {name for name, _ in answered} == set(asked)

    crew.work(SECONDS, enough=lambda: turn[0] > 2 and both_answered())
    assert turn[0] > 2
    assert both_answered(), counts


def test_threads_partial_fit_is_seen_whole():
    model = fastcf.MatrixFactorization(6, n_epochs=3, random_state=0).fit(FIRST)
    steps = [model.predict(PAIRS)]
    rehearsal = fastcf.MatrixFactorization(6, n_epochs=3, random_state=0).fit(FIRST)
    more = [SECOND.take(np.arange(n, 1_200, 12)) for n in range(12)]
    for ratings in more:
        steps.append(rehearsal.partial_fit(ratings).predict(PAIRS))
    crew = Crew()
    waiting = iter(more)

    def learn():
        ratings = next(waiting, None)
        if ratings is None:
            crew.stop.set()
        else:
            model.partial_fit(ratings)
            time.sleep(0.02)

    def ask():
        got = model.predict(PAIRS)
        assert any(np.array_equal(got, step) for step in steps)

    crew.run(learn)
    for _ in range(N_ASKING):
        crew.run(ask)
    crew.work(0, enough=crew.stop.is_set)
    np.testing.assert_array_equal(model.predict(PAIRS), steps[-1])


@pytest.mark.parametrize("include_seen", [False, True])
def test_threads_recommend_while_the_model_is_saved(include_seen, tmp_path):
    model = fastcf.MatrixFactorization(6, n_epochs=3, random_state=0).fit(FIRST)
    expected = lists(model.recommend(ASKED, 8))
    crew = Crew()
    saved = [0]

    def save():
        model.save(tmp_path / "m", include_seen=include_seen)
        saved[0] += 1

    def ask():
        assert same(lists(model.recommend(ASKED, 8)), expected)
        assert model.seen_ is not None

    crew.run(save)
    for _ in range(N_ASKING):
        crew.run(ask)
    crew.work(SECONDS, enough=lambda: saved[0] > 2)
    assert saved[0] > 2
    loaded = fastcf.load(tmp_path / "m")
    assert (loaded.seen_ is not None) == include_seen
    np.testing.assert_array_equal(loaded.predict(PAIRS), model.predict(PAIRS))


def test_threads_files_saved_during_a_fit_hold_one_model(tmp_path):
    known = [FAMILIES["sgd"]().fit(ratings) for ratings in (FIRST, SECOND)]
    answers = [(*lists(model.recommend(ASKED, 8)), model.predict(PAIRS)) for model in known]
    model = FAMILIES["sgd"]().fit(FIRST)
    crew = Crew()
    turn = [0]

    def refit():
        turn[0] += 1
        model.fit(SECOND if turn[0] % 2 else FIRST)

    def saving(number):
        path = tmp_path / f"model{number}"

        def save():
            model.save(path)
            loaded = fastcf.load(path)
            got = (*lists(loaded.recommend(ASKED, 8)), loaded.predict(PAIRS))
            assert any(same(got, answer) for answer in answers)

        return save

    crew.run(refit)
    for number in range(2):
        crew.run(saving(number))
    crew.work(SECONDS, enough=lambda: turn[0] > 2)
    assert turn[0] > 2


def test_threads_keep_factors_on_the_device_during_a_fit(device):
    known = [FAMILIES["sgd"]().set_params(device=device).fit(ratings) for ratings in (FIRST, SECOND)]
    answers = [lists(model.recommend(ASKED, 8)) for model in known]
    model = FAMILIES["sgd"]().set_params(device=device).fit(FIRST)
    crew = Crew()
    turn = [0]

    def refit():
        turn[0] += 1
        model.fit(SECOND if turn[0] % 2 else FIRST)

    def ask():
        with model.on_device():
            for _ in range(3):
                got = lists(model.recommend(ASKED, 8))
                assert any(same(got, answer) for answer in answers)

    crew.run(refit)
    for _ in range(2 if device != "cpu" else N_ASKING):
        crew.run(ask)
    crew.work(SECONDS, enough=lambda: turn[0] > 0)
    assert turn[0] > 0
