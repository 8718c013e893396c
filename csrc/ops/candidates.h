// Lists of candidates: merged for each user without what was seen, the best of each user, and the best within quotas.
// No device has its own version: the lists are short, the work is sorting, and both ends live on the host.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/view.h"

namespace fastcf {

struct MergeQuery {
    VectorView<const std::int64_t> list_indptr;   // (n_lists + 1,)
    VectorView<const std::int32_t> list_items;    // item rows in the order of preference; -1: nothing
    VectorView<const float> list_scores;          // one per list item, or empty: no scores
    VectorView<const std::int64_t> user_indptr;   // (m + 1,)
    VectorView<const std::int32_t> user_lists;    // the lists of each user; -1: none
    VectorView<const std::int64_t> seen_indptr;   // (m + 1,) or empty: nothing was seen
    VectorView<const std::int32_t> seen_indices;  // sorted within each user
    std::int64_t limit = -1;                      // how many items a user gets of one list; < 0: all
    int n_threads = 0;                            // <= 0: the default of the process
};

// Merged lists: compressed rows, the items of a user ascending and distinct. They come in parts, for a chunk of users
// each, until write() puts them side by side.
class MergedCandidates {
  public:
    struct Part {
        std::vector<std::int64_t> sizes;  // one per user
        std::vector<std::int32_t> items;
        std::vector<float> scores;
        std::vector<std::uint64_t> lists;
    };

    MergedCandidates(std::vector<Part> parts, std::int64_t users_per_part)
        : parts_(std::move(parts)), users_per_part_(users_per_part) {}

    std::int64_t size() const {
        std::int64_t total = 0;
        for (const Part& part : parts_) total += static_cast<std::int64_t>(part.items.size());
        return total;
    }
    // indptr (m + 1,); items, scores and lists (size(),); scores may be empty.
    void write(VectorView<std::int64_t> indptr, VectorView<std::int32_t> items, VectorView<float> scores,
               VectorView<std::uint64_t> lists, int n_threads) const;

  private:
    std::vector<Part> parts_;
    std::int64_t users_per_part_;
};

// For each user the union of his lists. A list is walked in its order until `limit` items that the user has not seen
// are taken. An item that several lists hold appears once, with the largest of its scores; bit j of its entry of
// `lists` says that it was taken from the user's j-th list (the 64th and all later ones share bit 63). Items of score
// NaN are left out.
//
//   deterministic yes, for any number of threads
//   cost          per user O(c log c + c log s), with c items walked and s seen: bound by sorting c 64-bit keys
//
// Throws std::invalid_argument for shapes that disagree, lists that do not exist, items below -1 and seen items out of
// order.
MergedCandidates merge_candidates(const MergeQuery& query);

// entries(u, j): the position in `scores` of u's j-th best entry by score descending, ties by the smaller position; -1
// where there are fewer. An entry of score NaN is none. Deterministic; O(entries) and the sorting of n per user.
void top_candidates(VectorView<const std::int64_t> indptr, VectorView<const float> scores,
                    MatrixView<std::int64_t> entries, int n_threads);

// The categories of items, and how many items of each a list may have.
struct Quotas {
    VectorView<const std::int64_t> indptr;      // (n_items + 1,)
    VectorView<const std::int32_t> categories;  // those of item i, distinct, are at indptr[i]:indptr[i + 1]
    VectorView<const std::int64_t> most;        // (n_categories,)
};

// places(u, j): the column in row u of `items` of the j-th item that passes; -1 where there are fewer. Items come best
// first, -1 among them is none. An item passes if none of its categories has as many passed items as it may have, and
// then counts in all of its categories.
//
//   deterministic yes; one thread
//   cost          O(items walked and their categories): 2 loads each from tables of all items, which miss the cache
//
// Throws std::invalid_argument for shapes that disagree, items and categories that do not exist.
void within_quotas(MatrixView<const std::int32_t> items, const Quotas& quotas, MatrixView<std::int64_t> places);

inline void check_merge(const MergeQuery& query) {
    constexpr const char* kCaller = "merge_candidates";
    const auto compressed = [&](VectorView<const std::int64_t> indptr, std::int64_t entries, const char* name) {
        check(!indptr.empty(), kCaller, ": ", name, " must have at least one entry; got 0");
        check(indptr[0] == 0, kCaller, ": ", name, " must start at 0; got ", indptr[0]);
        for (std::int64_t i = 1; i < indptr.size; ++i)
            check(indptr[i - 1] <= indptr[i], kCaller, ": ", name, " must not decrease; it does after row ", i - 1);
        check(indptr[indptr.size - 1] == entries, kCaller, ": ", name, " must end at the number of entries (", entries,
              "); got ", indptr[indptr.size - 1]);
    };
    compressed(query.list_indptr, query.list_items.size, "list_indptr");
    compressed(query.user_indptr, query.user_lists.size, "user_indptr");
    check(query.list_scores.empty() || query.list_scores.size == query.list_items.size, kCaller,
          ": list_scores must have one entry per item (", query.list_items.size, "); got ", query.list_scores.size);
    if (query.seen_indptr.empty()) {
        check(query.seen_indices.empty(), kCaller, ": seen_indices needs seen_indptr");
        return;
    }
    compressed(query.seen_indptr, query.seen_indices.size, "seen_indptr");
    check(query.seen_indptr.size == query.user_indptr.size, kCaller,
          ": seen_indptr must have one entry per user and one more (", query.user_indptr.size, "); got ",
          query.seen_indptr.size);
}

inline void check_top(const VectorView<const std::int64_t>& indptr, const VectorView<const float>& scores,
                      const MatrixView<std::int64_t>& entries) {
    constexpr const char* kCaller = "top_candidates";
    check(!indptr.empty(), kCaller, ": indptr must have at least one entry; got 0");
    check_indptr({indptr.data, nullptr, nullptr, indptr.size - 1, 0}, scores.size, kCaller);
    check(entries.rows == indptr.size - 1, kCaller, ": the output must have one row per user (", indptr.size - 1,
          "); got ", entries.rows);
}

}  // namespace fastcf
