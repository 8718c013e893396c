"""All steps on a MovieLens folder: train, evaluate, recommend, find related films, predict films without ratings.

    python examples/movielens.py ml-latest-small [--user 42] [--genre Comedy]

The folder is any MovieLens set that has titles, or one of the same layout; https://grouplens.org/datasets/movielens/
has them.
"""

import argparse
import time

import numpy as np

import fastcf
from fastcf.retrieval import NearestVectors, Popular, RelatedItems, TopPerGroup, TwoStageRecommender


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def evaluate(models: list, train: fastcf.Ratings, test: fastcf.Ratings, **features) -> None:
    """Fit models and print the errors of their predictions of the test ratings."""
    print(f"{'':<24}{'RMSE':>8}{'MAE':>8}{'seconds':>9}")
    for model in models:
        started = time.perf_counter()
        model.fit(train, **(features if isinstance(model, (fastcf.MixedRegression, fastcf.TwoTower)) else {}))
        seconds = time.perf_counter() - started
        predicted = model.predict(test)
        rmse, mae = fastcf.metrics.rmse(test.values, predicted), fastcf.metrics.mae(test.values, predicted)
        print(f"{type(model).__name__:<24}{rmse:>8.4f}{mae:>8.4f}{seconds:>9.2f}")


def print_items(films: fastcf.data.ItemTable, items: np.ndarray, scores: np.ndarray, notes: list | None = None) -> None:
    for place, (item, score) in enumerate(zip(items, scores, strict=True)):
        if np.isfinite(score):  # the list may be shorter
            note = "" if notes is None else f"   ({notes[place]})"
            print(f"  {score:5.2f}  {films.title_of([item])[0]}{note}")


def recommend(
    ratings: fastcf.Ratings, films: fastcf.data.ItemTable, best: fastcf.Autoencoder, user, genre: str | None
) -> None:
    """Recommend to a known user: with the best model alone, and in two steps, retrieval and ranking."""
    row = int(ratings.users.rows([user])[0])
    own = slice(ratings.indptr[row], ratings.indptr[row + 1])
    liked = ratings.items.ids[ratings.indices[own]][np.argsort(-ratings.values[own], kind="stable")]

    title(f"User {user} has rated {liked.size} films, these best")
    print_items(films, liked[:5], np.sort(ratings.values[own])[::-1][:5])

    chosen = None
    if genre is not None:
        chosen = films.ids[[genre in genres.split("|") for genres in films.genres]]
    title(f"Recommended{'' if genre is None else f', {genre} only'}, with the predicted rating")
    print_items(films, *best.recommend(user, n=10, candidates=chosen))

    title("Out of a few hundred candidates of cheap sources, with the sources of each")
    sources = [
        ("nearest", NearestVectors(best, k=100)),
        ("related", RelatedItems(best, n_recent=10, k=20)),
        ("genres", TopPerGroup((films.ids, films.genres), n_groups=3, k=30)),
        ("popular", Popular(k=50)),
    ]
    two_stage = TwoStageRecommender(sources, ranker=best).fit(ratings)
    found = two_stage.recommend(user, n=5)
    print_items(films, found.items, found.scores, [", ".join(two_stage.names_of(bits)) for bits in found.found_by])

    title(f"Related to {films.title_of(liked[:1])[0]}, with the cosine of their vectors")
    print_items(films, *best.similar_items(liked[0], n=5))


def welcome(ratings: fastcf.Ratings, films: fastcf.data.ItemTable) -> None:
    """Recommend to a new user with ratings of a few well-known films, without training again."""
    model = fastcf.MatrixFactorization(random_state=0).fit(ratings)
    known = ratings.items.ids[np.argsort(-ratings.item_counts(), kind="stable")[:5]]
    stars = [5.0, 4.5, 2.0, 5.0, 3.0]

    title("A new user rates five films …")
    print_items(films, known, np.array(stars))
    title("… and is recommended")
    history = [(0, item) for item in known], stars
    print_items(films, *model.recommend(0, n=5, history=history))


def premiere(ratings: fastcf.Ratings, films: fastcf.data.ItemTable, features: fastcf.FeatureTable, user) -> None:
    """Predict films without ratings: the ratings of a fifth of the films are left out of the training."""
    new = np.random.default_rng(0).random(ratings.n_items) < 0.2
    of_new = new[ratings.indices]
    train, test = ratings.take(~of_new), ratings.take(of_new)

    title(f"{int(new.sum()):,} films without any rating, predicted from genres and year")
    towers = fastcf.TwoTower(random_state=0)
    evaluate([fastcf.BiasModel(), fastcf.MixedRegression(), towers], train, test, item_features=features)

    if user in train.users:
        title(f"Of these, for user {user}")
        print_items(films, *towers.recommend(user, n=5, candidates=ratings.items.ids[new]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder with ratings.csv, ratings.dat or u.data, and the films' titles")
    parser.add_argument("--user", help="user to recommend to; by default the first")
    parser.add_argument("--genre", help="recommend only films of this genre")
    arguments = parser.parse_args()

    ratings, _, films = fastcf.data.load_movielens(arguments.folder)
    if films is None:
        parser.error(f"{arguments.folder}: no titles found")
    ids = ratings.users.ids
    user = ids[0] if arguments.user is None else np.array([arguments.user]).astype(ids.dtype)[0]
    if user not in ratings.users:
        parser.error(f"unknown user {user}")
    print(ratings)

    train, test = fastcf.data.train_test_split(ratings, test_size=0.1, random_state=0)
    title(f"Trained on {train.nnz:,} ratings, tested on {test.nnz:,}")
    best = fastcf.Autoencoder(random_state=0)
    evaluate([fastcf.BiasModel(), fastcf.MatrixFactorization(random_state=0), best], train, test)

    best.fit(ratings)  # on all ratings, now that its error is known
    recommend(ratings, films, best, user, arguments.genre)
    welcome(ratings, films)
    features, _ = fastcf.features.movielens(arguments.folder)
    premiere(ratings, films, features, user)


if __name__ == "__main__":
    main()
