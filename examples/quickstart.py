"""From ratings to predictions: the quick start of the README that needs no files."""

import fastcf

ratings = fastcf.data.make_ratings(2_000, 1_000, 200_000, random_state=0)  # or load_ratings("ratings.csv")
train, test = fastcf.data.train_test_split(ratings, test_size=0.1, random_state=0)

baseline = fastcf.BiasModel().fit(train)
model = fastcf.MatrixFactorization(random_state=0).fit(train)
print(f"test RMSE: biases {-baseline.score(test):.3f}, matrix factorisation {-model.score(test):.3f}")

items, scores = model.recommend(42, n=5)  # for user 42, without the items that they have rated
print("recommended:", items, scores.round(2))
print("similar to item 7:", model.similar_items(7, n=5).ids)
print("user 42 on items 7 and 8:", model.predict([(42, 7), (42, 8)]))
