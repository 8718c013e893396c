"""The steps of a well-known course on collaborative filtering, on its table of five films and four people.

    python examples/course.py [--ratings ml-latest-small] [--steps 200] [--epochs 10]

Alice and Bob like romance, Carol and Dave action. Each step prints what it finds, and asserts it. The last two need
real ratings, a file or folder that `fastcf.data.read_log` reads: descent written out by hand, and a deep autoencoder.
The course used a million ratings of films.
"""

import argparse

import numpy as np

import fastcf
from fastcf.optimizers import GradientDescent, Momentum

FILMS = ["Love at Last", "Romance Forever", "Cute Puppies of Love", "Nonstop Car Chases", "Swords vs. Karate"]
PEOPLE = ["Alice", "Bob", "Carol", "Dave"]
NONE = np.nan  # not rated
TABLE = np.array([[5, 5, 0, 0], [5, NONE, NONE, 0], [NONE, 4, 0, NONE], [0, 0, 5, 4], [0, 0, 5, NONE]])
FEATURES = np.array([[0.9, 0.0], [1.0, 0.01], [0.99, 0.0], [0.1, 1.0], [0.0, 0.9]], np.float32)  # romance, action
TASTES = np.array([[5, 0], [5, 0], [0, 5], [0, 5]], float)  # the same of people

STUDY = {  # O. Kuchaiev and B. Ginsburg, "Training deep autoencoders for collaborative filtering", 2017
    "orientation": "user", "layers": (512, 512, 1024), "dropout": 0.8, "dense_refeeding": 1, "batch_size": 128,
    "activation": "selu", "output_activation": "selu", "optimizer": Momentum(0.005, schedule="constant"),
    "init": "glorot", "normalize": None, "input_dropout": 0.0, "rated_input": 0.0, "rated_output": False,
    "reg": 0.0,
}  # fmt: skip


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def course_ratings(table: np.ndarray = TABLE, people: list[str] = PEOPLE) -> fastcf.Ratings:
    """The course's table has a row per film."""
    return fastcf.Ratings.from_dense(table, items_first=True, users=people, items=FILMS)


def known_features(ratings: fastcf.Ratings) -> None:
    heading("Known features: a regression for each person")
    films = fastcf.FeatureTable(FILMS, FEATURES)
    model = fastcf.UserRegression(reg=0.0, fit_intercept=False).fit(ratings, item_features=films)
    for person, weights in zip(PEOPLE, model.coef_[model.users_.rows(PEOPLE)], strict=True):
        print(f"{person:<6} w = {weights.round(2)}")
    w, x = TASTES[0], FEATURES[2]  # the course's round numbers, by eye
    print(f"w = {w}, x = {x.round(2)}: {w @ x:.2f}")
    assert np.isclose(w @ x, 4.95)
    asked = [("Alice", FILMS[2]), ("Carol", FILMS[4])]
    free, clipped = model.predict(asked, clip=False), model.predict(asked)
    print(f"Alice on {FILMS[2]}: {free[0]:.2f}, within the range of the ratings {clipped[0]:.2f}")
    assert abs(free[0] - 4.95) < 0.5
    assert free[0] > clipped[0] == 5.0


def known_parameters(ratings: fastcf.Ratings) -> None:
    heading("Known tastes: a regression for each film learns its features")
    people = fastcf.FeatureTable(PEOPLE, TASTES)
    model = fastcf.ItemRegression(reg=0.0, fit_intercept=False).fit(ratings, user_features=people)
    found = model.coef_[model.items_.rows(FILMS)]
    for film, features in zip(FILMS, found, strict=True):
        print(f"{film:<22} x = {features.round(2)}")
    np.testing.assert_allclose(found[0], [1.0, 0.0], atol=1e-4)  # 5 x = 5 of Alice and Bob, 5 x = 0 of Carol and Dave
    np.testing.assert_allclose(found[3], [0.0, 0.9], atol=1e-4)


def joint(ratings: fastcf.Ratings) -> fastcf.MatrixFactorization:
    heading("Both at once: collaborative filtering by gradient descent")
    model = fastcf.MatrixFactorization(
        2, solver="gd", reg=0.1, reg_scaling="none", bias=False, normalize=None, n_epochs=500, random_state=0
    )
    report = fastcf.check_gradients(model, ratings)
    print(report)
    assert report.passed
    model.fit(ratings)
    costs = [record["cost"] for record in model.history_]
    print(f"J = {costs[0]:.2f}, after {model.n_epochs_} steps {costs[-1]:.2f}; RMSE {-model.score(ratings):.2f}")
    assert costs[-1] < costs[0] / 10
    assert model.predict([("Alice", FILMS[2])])[0] > 3.5 > 1 > model.predict([("Carol", FILMS[1])])[0]
    return model


def mean_normalisation() -> None:
    heading("A person without ratings: mean normalisation")
    table = np.column_stack([TABLE, np.full(len(FILMS), NONE)])
    ratings = course_ratings(table, [*PEOPLE, "Eve"])
    options = {"bias": False, "reg": 0.1, "reg_scaling": "none", "solver": "gd", "n_epochs": 300, "random_state": 0}
    eve = [("Eve", film) for film in FILMS]
    plain, normalised = (
        fastcf.MatrixFactorization(2, normalize=normalize, **options).fit(ratings).predict(eve, clip=False)
        for normalize in (None, "item")
    )
    means = np.nanmean(TABLE, axis=1)
    print(f"Eve without it: {plain.round(2)}\nwith it:        {normalised.round(2)}\nmeans of films: {means}")
    np.testing.assert_allclose(plain, 0, atol=0.01)  # the penalty alone says what her taste is: nothing
    np.testing.assert_allclose(normalised, means, atol=0.01)


def labels(ratings: fastcf.Ratings) -> None:
    heading("Labels: did they like it?")
    model = fastcf.MatrixFactorization(
        2, cost="logistic", threshold=4.0, solver="gd", reg=0.1, reg_scaling="none", n_epochs=300, random_state=0
    ).fit(ratings)
    chances = model.predict(ratings)
    liked = ratings.values >= 4
    print(f"liked: {chances[liked].round(2)}\nnot:   {chances[~liked].round(2)}")
    assert chances[liked].min() > 0.5 > chances[~liked].max()


def related(model: fastcf.MatrixFactorization) -> None:
    heading("Related films: the smallest squared distance of features")
    found = model.similar_items(FILMS[3], n=1, metric="euclidean")
    print(f"learnt features: {FILMS[3]} is next to {found.ids[0]} (squared distance {float(found.scores[0]) ** 2:.2f})")
    assert found.ids[0] == FILMS[4]
    apart = ((FEATURES[:, None] - FEATURES) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    rows = apart.argmin(axis=1)
    for film, row in zip(FILMS, rows, strict=True):
        print(f"given features: {film} is next to {FILMS[row]} (squared distance {apart[FILMS.index(film), row]:.4f})")
    assert rows.tolist() == [2, 2, 1, 4, 3]


def towers(ratings: fastcf.Ratings) -> None:
    heading("Two towers, 256-128-32, of unit length")
    people, films = fastcf.FeatureTable(PEOPLE, TASTES / 5), fastcf.FeatureTable(FILMS, FEATURES)
    model = fastcf.TwoTower(
        (256, 128), (256, 128), 32, baseline="none", reg=0.0, n_epochs=60, batch_size=8, random_state=0
    )
    report = fastcf.check_gradients(model, ratings, user_features=people, item_features=films, max_coordinates=3)
    assert report.passed, report
    model.fit(ratings, user_features=people, item_features=films)
    users, items = (vectors / np.sqrt(model.scale_) for vectors in (model.user_vectors(), model.item_vectors()))
    lengths = np.linalg.norm(np.vstack([users, items]), axis=1)
    print(f"gradients: ε = {report.epsilon:.1e}; lengths of vectors: {lengths.round(4)}")
    np.testing.assert_allclose(lengths, 1, atol=1e-4)
    asked = [("Alice", FILMS[2]), ("Carol", FILMS[1])]
    print(f"Alice on {FILMS[2]}: {model.predict(asked)[0]:.2f}; Carol on {FILMS[1]}: {model.predict(asked)[1]:.2f}")
    assert model.predict(asked)[0] > 2.5 > model.predict(asked)[1]


def perceptrons() -> None:
    heading("A network 3-4-3-1 for each person: labels by three features of films")
    random = np.random.default_rng(0)
    films = fastcf.FeatureTable(np.arange(60), random.uniform(-1, 1, (60, 3)))
    wishes = random.standard_normal((8, 3))
    score = np.tanh(2 * wishes @ films.matrix.T) + wishes[:, :1] * films.matrix[:, 0] ** 2
    stars = np.clip(np.rint(3 + 1.5 * score + 0.3 * random.standard_normal(score.shape)), 1, 5)
    train, test = fastcf.data.train_test_split(fastcf.Ratings.from_dense(stars), test_size=0.25, random_state=0)
    best = (np.inf, {})
    network = fastcf.UserPerceptron(
        (4, 3), activation="sigmoid", threshold=3.5, init=(-1, 1), n_epochs=60, random_state=0
    )
    report = fastcf.check_gradients(network, train, item_features=films)
    print(report)
    assert report.passed  # before any training
    for rate in (0.1, 1.0):
        for reg in (0.01, 0.1):
            for batch in (5, 45):
                options = {"optimizer": GradientDescent(rate), "reg": reg, "batch_size": batch}
                network.set_params(**options).fit(train, item_features=films)
                loss = -network.score(test)
                print(f"α = {rate:<4g} λ = {reg:<5g} b = {batch:<3}: log-loss {loss:.3f}")
                best = min(best, (loss, {"α": rate, "λ": reg, "b": batch}), key=lambda each: each[0])
    share = float((test.values >= 3.5).mean())
    blind = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    print(f"best: {best[1]}, {best[0]:.3f}; the share of liked films alone: {blind:.3f}")
    assert best[0] < 0.8 * blind


def read(path: str) -> tuple[fastcf.Ratings, dict]:
    """Ratings, and the titles of films where they are beside them."""
    ratings = fastcf.data.read_log(path).to_ratings(duplicates="last")
    try:
        films = fastcf.data.read_items(path)
    except (ValueError, OSError):
        return ratings, {}
    return ratings, dict(zip(films.ids.tolist(), films.titles, strict=True))


def by_hand(ratings: fastcf.Ratings, titles: dict, n_steps: int) -> None:
    heading(f"From scratch on {ratings.nnz:,} ratings: J, its gradient, descent")
    train, test = fastcf.data.train_test_split(ratings, test_size=0.1, random_state=0)
    random = np.random.default_rng(0)
    users, items = (0.01 * random.standard_normal((n, 10)) for n in train.shape)

    def at(reg: float) -> tuple:
        return fastcf.ops.mf_cost_and_gradient(train, users, items, reg=reg, reg_exponent=0.0, global_offset=train.mean)

    rated = np.bincount(train.indices, minlength=train.n_items) > 0  # others have no cost
    squares = 0.5 * float((users**2).sum() + (items[rated] ** 2).sum())
    print(f"J = {at(0.0).cost:,.1f} without λ, {at(10.0).cost:,.1f} with λ = 10")
    assert np.isclose(at(10.0).cost - at(0.0).cost, 10.0 * squares)
    assert np.isclose(at(0.0).cost, 0.5 * float(((train.values.astype(float) - train.mean) ** 2).sum()), rtol=1e-3)

    def rmse() -> float:
        rows, columns = test.row_of_entry(), test.indices
        predicted = train.mean + np.einsum("ij,ij->i", users[rows], items[columns])
        return float(np.sqrt(np.mean((np.clip(predicted, *train.rating_range) - test.values) ** 2)))

    before, rate, momentum = rmse(), 2e-4, 0.9
    speeds = [np.zeros_like(users), np.zeros_like(items)]
    costs = []
    for _ in range(n_steps):
        found = at(10.0)
        costs.append(found.cost)
        for speed, values, slope in zip(speeds, (users, items), (found.user_factors, found.item_factors), strict=True):
            speed *= momentum
            speed -= rate * slope
            values += speed
    print(
        f"J = {costs[0]:,.1f} → {costs[-1]:,.1f} in {n_steps} steps; RMSE of test ratings {before:.3f} → {rmse():.3f}"
    )
    assert costs[-1] < costs[0]
    assert rmse() < before
    row = int(np.argmax(np.diff(train.indptr)))
    scores = items @ users[row]
    scores[train.indices[train.indptr[row] : train.indptr[row + 1]]] = -np.inf
    for item in np.argsort(-scores, kind="stable")[:5]:
        name = titles.get(train.items.ids[item], f"film {train.items.ids[item]}")
        print(f"  {train.mean + scores[item]:.2f}  {name}")


def deep_autoencoder(ratings: fastcf.Ratings, n_epochs: int) -> None:
    heading("The deep autoencoder of a study, with its settings")
    train, test = fastcf.data.train_test_split(ratings, test_size=0.1, random_state=0)
    small = {**STUDY, "layers": (32, 32, 64)} if train.nnz < 10_000 else STUDY  # to be tried at once
    model = fastcf.Autoencoder(**small, n_epochs=n_epochs, random_state=0).fit(train, validation=test)
    first, last = model.history_[0], model.history_[model.n_epochs_]
    print(
        f"{train.n_items}-{'-'.join(map(str, small['layers']))} and back, dropout {small['dropout']}, dense re-feeding"
    )
    print(f"RMSE of validation ratings {first['validation_rmse']:.3f} → {last['validation_rmse']:.3f}")
    assert last["validation_rmse"] < first["validation_rmse"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ratings", help="a file or folder of real ratings, for the last two steps")
    parser.add_argument("--steps", type=int, default=200, help="of descent by hand")
    parser.add_argument("--epochs", type=int, default=10, help="of the deep autoencoder")
    arguments = parser.parse_args()
    ratings = course_ratings()
    known_features(ratings)
    known_parameters(ratings)
    related(joint(ratings))
    mean_normalisation()
    labels(ratings)
    towers(ratings)
    perceptrons()
    if arguments.ratings is not None:
        real, titles = read(arguments.ratings)
        by_hand(real, titles, arguments.steps)
        deep_autoencoder(real, arguments.epochs)


if __name__ == "__main__":
    main()
