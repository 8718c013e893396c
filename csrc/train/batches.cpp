#include "train/batches.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"
#include "core/rng.h"

namespace fastcf {
namespace {

constexpr std::uint64_t kRatingOrder = 0x6d696e69;  // stream of random numbers

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

}  // namespace

Batches::Batches(const CsrView& ratings, VectorView<const float> weights, std::int64_t batch_size, std::uint64_t seed)
    : batch_size_(batch_size),
      seed_(seed),
      users_(at(ratings.nnz())),
      items_(ratings.indices, ratings.indices + ratings.nnz()),
      values_(ratings.values, ratings.values + ratings.nnz()),
      weights_(weights.data, weights.data + weights.size),
      place_(at(ratings.cols), -1) {
    for (std::int64_t u = 0; u < ratings.rows; ++u)
        std::fill(users_.begin() + ratings.indptr[u], users_.begin() + ratings.indptr[u + 1],
                  static_cast<std::int32_t>(u));
    const std::int64_t n = std::min(batch_size, ratings.nnz());
    const auto add_side = [&](SideParts& side, std::int64_t rows) {
        const std::int64_t touched = std::min(n, rows);
        block_.add(side.indptr, touched + 1);
        block_.add(side.rows, touched);
        block_.add(side.shares, touched);
    };
    add_side(user_parts_, ratings.rows);
    add_side(item_parts_, ratings.cols);
    block_.add(entries_part_, n);
    block_.add(items_part_, n);
    block_.add(users_part_, n);
    block_.add(values_part_, n);
    block_.add(weights_part_, n);
    block_.allocate();
}

std::vector<std::uint32_t> Batches::shuffled(std::uint64_t epoch) const {
    std::vector<std::uint32_t> order(users_.size());
    std::iota(order.begin(), order.end(), 0u);
    shuffle(order.data(), static_cast<std::int64_t>(order.size()), Rng(mix64(seed_) + epoch, kRatingOrder));
    return order;
}

void Batches::start(std::uint64_t epoch, int n_threads) {
    order_ = shuffled(epoch);
    const auto n = static_cast<std::int64_t>(order_.size());
    // By user and item within a batch; the order of a sum does not matter to it.
    parallel_chunks(n, batch_size_, threads_for(n * 4, n_threads), [&](std::int64_t begin, std::int64_t end, int) {
        std::sort(order_.begin() + begin, order_.begin() + end);
    });
}

std::int64_t Batches::count() const {
    return (static_cast<std::int64_t>(order_.size()) + batch_size_ - 1) / batch_size_;
}

Batches::Side Batches::finish(const SideParts& side, std::int64_t n, float scale) {
    const std::int64_t* indptr = block_.host(side.indptr);
    float* shares = block_.host(side.shares);
    for (std::int64_t r = 0; r < n; ++r) shares[r] = scale * static_cast<float>(indptr[r + 1] - indptr[r]);
    return {{block_.device(side.rows), n}, block_.host(side.rows), {block_.device(side.shares), n}};
}

Batches::Batch Batches::batch(std::int64_t number) {
    const std::uint32_t* entries = order_.data() + number * batch_size_;
    const std::int64_t n = std::min(batch_size_, static_cast<std::int64_t>(order_.size()) - number * batch_size_);
    const float scale = 1.0f / static_cast<float>(n);
    std::int32_t *user_rows = block_.host(user_parts_.rows), *item_rows = block_.host(item_parts_.rows);
    std::int64_t *indptr = block_.host(user_parts_.indptr), *item_indptr = block_.host(item_parts_.indptr);
    std::int32_t *items = block_.host(items_part_), *item_users = block_.host(users_part_);
    float *values = block_.host(values_part_), *weights = block_.host(weights_part_);
    std::int64_t n_users = 0, n_items = 0;

    for (std::int64_t e = 0; e < n; ++e) {
        const std::int32_t user = users_[entries[e]], item = items_[entries[e]];
        if (n_users == 0 || user_rows[n_users - 1] != user) {
            indptr[n_users] = e;
            user_rows[n_users++] = user;
        }
        values[e] = values_[entries[e]];
        weights[e] = scale * (weights_.empty() ? 1.0f : weights_[entries[e]]);
        if (place_[at(item)] < 0) {
            place_[at(item)] = 0;
            item_rows[n_items++] = item;
        }
    }
    indptr[n_users] = n;
    std::sort(item_rows, item_rows + n_items);
    for (std::int64_t i = 0; i < n_items; ++i) place_[at(item_rows[i])] = static_cast<std::int32_t>(i);
    std::fill_n(item_indptr, n_items + 1, 0);
    for (std::int64_t e = 0; e < n; ++e) {
        items[e] = place_[at(items_[entries[e]])];
        ++item_indptr[items[e] + 1];
    }
    for (std::int64_t i = 0; i < n_items; ++i) place_[at(item_rows[i])] = -1;
    std::partial_sum(item_indptr, item_indptr + n_items + 1, item_indptr);
    std::int64_t* item_entries = block_.host(entries_part_);
    for (std::int64_t u = 0; u < n_users; ++u)
        for (std::int64_t e = indptr[u]; e < indptr[u + 1]; ++e) {
            const std::int64_t place = item_indptr[items[e]]++;  // shifts every start to its end
            item_entries[place] = e;
            item_users[place] = static_cast<std::int32_t>(u);
        }
    for (std::int64_t i = n_items; i > 0; --i) item_indptr[i] = item_indptr[i - 1];
    item_indptr[0] = 0;

    Batch batch;
    batch.size = n;
    batch.users = finish(user_parts_, n_users, scale);
    batch.items = finish(item_parts_, n_items, scale);
    block_.send();
    MfRatings<float>& ratings = batch.ratings;
    ratings.indptr = block_.device(user_parts_.indptr);
    ratings.items = block_.device(items_part_);
    ratings.values = block_.device(values_part_);
    ratings.weights = block_.device(weights_part_);
    ratings.item_indptr = block_.device(item_parts_.indptr);
    ratings.users = block_.device(users_part_);
    ratings.item_entries = block_.device(entries_part_);
    ratings.n_users = n_users;
    ratings.n_items = n_items;
    ratings.entries = n;
    return batch;
}

}  // namespace fastcf
