// The list of one user, whose items come in ascending order and less what the user has seen.
#pragma once

#include <cstdint>
#include <limits>

#include "cpu/top_list.h"
#include "ops/topk.h"

namespace fastcf {

class ListOfUser {
  public:
    // `keys` is the memory of the list, TopList::capacity_for() of them.
    ListOfUser(const TopkQuery& query, std::int64_t user, std::uint64_t* keys, std::int64_t capacity, std::int64_t n)
        : list_(keys, capacity, n), keys_(keys) {
        if (query.seen_indptr.empty()) return;
        seen_ = query.seen_indices.data + query.seen_indptr[user];
        seen_end_ = query.seen_indices.data + query.seen_indptr[user + 1];
    }

    float threshold() const { return list_.threshold(); }

    void take(float score, std::int32_t item) {
        if (!(score > -std::numeric_limits<float>::infinity())) return;
        const std::uint64_t key = rank_key(score, item);
        if (key <= list_.floor()) return;
        while (seen_ != seen_end_ && *seen_ < item) ++seen_;
        if (seen_ == seen_end_ || *seen_ != item) list_.push(key);
    }

    // Ends the list: n items, -1 and -infinity where there are too few.
    void write(std::int32_t* items, float* scores, std::int64_t n) {
        const std::int64_t count = list_.finish();
        for (std::int64_t j = 0; j < n; ++j) {
            items[j] = j < count ? rank_index(keys_[j]) : -1;
            scores[j] = j < count ? rank_score(keys_[j]) : -std::numeric_limits<float>::infinity();
        }
    }

  private:
    TopList list_;
    const std::uint64_t* keys_;
    const std::int32_t *seen_ = nullptr, *seen_end_ = nullptr;  // what is left of the seen items
};

// What a selection adds to the scores of items.
class ItemBias {
  public:
    explicit ItemBias(const TopkQuery& selection) : bias_(selection.item_bias) {}

    bool empty() const { return bias_.empty(); }
    float of(std::int32_t item) const { return bias_.empty() ? 0.0f : bias_[item]; }
    void add_to(float* row) const {
        for (std::int64_t i = 0; i < bias_.size; ++i) row[i] += bias_[i];
    }
    // What a score without it must be greater than to enter a list: anything, where it is to be added.
    float threshold(const ListOfUser& list) const {
        return bias_.empty() ? list.threshold() : std::numeric_limits<float>::quiet_NaN();
    }

  private:
    VectorView<const float> bias_;
};

}  // namespace fastcf
