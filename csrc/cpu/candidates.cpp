#include "ops/candidates.h"

#include <cmath>
#include <limits>
#include <span>

#include "core/parallel.h"
#include "cpu/top_list.h"

namespace fastcf {
namespace {

constexpr std::int64_t kUsersPerPart = 32;

// What one thread works with; kept from user to user, so that memory is asked for once.
struct Scratch {
    std::vector<std::uint64_t> keys;  // item row, then the position in what was taken: sorting groups an item's entries
    std::vector<float> scores;
    std::vector<std::uint8_t> bits;
};

// Whether sorted rows hold an item. Without a branch on what is compared, which would be guessed wrong half the time.
bool holds(const std::int32_t* rows, std::int64_t size, std::int32_t item) {
    while (size > 1) {
        const std::int64_t half = size / 2;
        rows += rows[half - 1] < item ? half : 0;
        size -= half;
    }
    return size == 1 && *rows == item;
}

class Merger {
  public:
    explicit Merger(const MergeQuery& query) : query_(query) {}

    void merge(std::int64_t user, Scratch& scratch, MergedCandidates::Part& part) const {
        take(user, scratch);
        std::sort(scratch.keys.begin(), scratch.keys.end());
        const bool scored = !query_.list_scores.empty();
        std::int64_t size = 0, last = -1;
        for (const std::uint64_t key : scratch.keys) {
            const auto item = static_cast<std::int32_t>(key >> 32);
            const std::size_t position = key & 0xffffffffu;
            if (item != last) {
                part.items.push_back(item);
                part.lists.push_back(0);
                if (scored) part.scores.push_back(scratch.scores[position]);
                last = item;
                ++size;
            }
            part.lists.back() |= std::uint64_t{1} << scratch.bits[position];
            if (scored) part.scores.back() = std::max(part.scores.back(), scratch.scores[position]);
        }
        part.sizes.push_back(size);
    }

  private:
    void take(std::int64_t user, Scratch& scratch) const {
        scratch.keys.clear();
        scratch.scores.clear();
        scratch.bits.clear();
        const std::int64_t first = query_.user_indptr[user], n_lists = query_.list_indptr.size - 1;
        const auto [seen, n_seen] = seen_of(user);
        for (std::int64_t j = first; j < query_.user_indptr[user + 1]; ++j) {
            const std::int32_t list = query_.user_lists[j];
            check(list >= -1 && list < n_lists, "merge_candidates: user_lists must lie in [-1, ", n_lists, "); got ",
                  list, " at entry ", j);
            if (list < 0) continue;
            const std::int64_t length = query_.list_indptr[list + 1] - query_.list_indptr[list];
            check(static_cast<std::int64_t>(scratch.keys.size()) + length <= std::numeric_limits<std::int32_t>::max(),
                  "merge_candidates: the lists of a user must have fewer than 2^31 items; those of user ", user,
                  " have more");
            std::int64_t left = query_.limit < 0 ? std::numeric_limits<std::int64_t>::max() : query_.limit;
            for (std::int64_t e = query_.list_indptr[list]; e < query_.list_indptr[list + 1] && left > 0; ++e) {
                const std::int32_t item = query_.list_items[e];
                check(item >= -1, "merge_candidates: list_items must be at least -1; got ", item, " at entry ", e);
                const float score = query_.list_scores.empty() ? 0.0f : query_.list_scores[e];
                if (item < 0 || std::isnan(score) || holds(seen, n_seen, item)) continue;
                scratch.keys.push_back(static_cast<std::uint64_t>(item) << 32 | scratch.keys.size());
                scratch.scores.push_back(score);
                scratch.bits.push_back(static_cast<std::uint8_t>(std::min<std::int64_t>(j - first, 63)));
                --left;
            }
        }
    }

    std::pair<const std::int32_t*, std::int64_t> seen_of(std::int64_t user) const {
        if (query_.seen_indptr.empty()) return {nullptr, 0};
        const std::int32_t* seen = query_.seen_indices.data;
        const std::int32_t *begin = seen + query_.seen_indptr[user], *end = seen + query_.seen_indptr[user + 1];
        check(std::is_sorted(begin, end), "merge_candidates: seen_indices must be sorted within each user; those of ",
              "user ", user, " are not");
        return {begin, end - begin};
    }

    const MergeQuery& query_;
};

}  // namespace

MergedCandidates merge_candidates(const MergeQuery& query) {
    check_merge(query);
    const std::int64_t n_users = query.user_indptr.size - 1;
    const int threads = threads_for(query.user_lists.size * 64, query.n_threads);
    std::vector<MergedCandidates::Part> parts(static_cast<std::size_t>((n_users + kUsersPerPart - 1) / kUsersPerPart));
    std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
    const Merger merger(query);
    parallel_chunks(n_users, kUsersPerPart, threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        auto& part = parts[static_cast<std::size_t>(begin / kUsersPerPart)];
        for (std::int64_t user = begin; user < end; ++user)
            merger.merge(user, scratch[static_cast<std::size_t>(thread)], part);
    });
    return {std::move(parts), kUsersPerPart};
}

void MergedCandidates::write(VectorView<std::int64_t> indptr, VectorView<std::int32_t> items, VectorView<float> scores,
                             VectorView<std::uint64_t> lists, int n_threads) const {
    check(items.size == size() && lists.size == items.size && (scores.empty() || scores.size == items.size),
          "merge_candidates: the outputs must have ", size(), " entries; got ", items.size);
    std::int64_t user = 0;
    indptr[0] = 0;
    for (const Part& part : parts_)
        for (const std::int64_t size : part.sizes) {
            indptr[user + 1] = indptr[user] + size;
            ++user;
        }
    parallel_for(static_cast<std::int64_t>(parts_.size()), threads_for(items.size, n_threads),
                 [&](std::int64_t p, int) {
                     const Part& part = parts_[static_cast<std::size_t>(p)];
                     const std::int64_t begin = indptr[p * users_per_part_];
                     std::copy(part.items.begin(), part.items.end(), items.data + begin);
                     std::copy(part.lists.begin(), part.lists.end(), lists.data + begin);
                     if (!scores.empty()) std::copy(part.scores.begin(), part.scores.end(), scores.data + begin);
                 });
}

void top_candidates(VectorView<const std::int64_t> indptr, VectorView<const float> scores,
                    MatrixView<std::int64_t> entries, int n_threads) {
    check_top(indptr, scores, entries);
    const std::int64_t n = entries.cols;
    const int threads = threads_for(scores.size, n_threads);
    std::vector<std::vector<std::uint64_t>> buffers(static_cast<std::size_t>(threads));
    parallel_chunks(entries.rows, kUsersPerPart, threads, [&](std::int64_t first, std::int64_t last, int thread) {
        auto& buffer = buffers[static_cast<std::size_t>(thread)];
        for (std::int64_t user = first; user < last; ++user) {
            const std::int64_t begin = indptr[user], stream = indptr[user + 1] - begin;
            check(stream <= std::numeric_limits<std::int32_t>::max(),
                  "top_candidates: a user must have fewer than 2^31 entries; got ", stream);
            const std::int64_t capacity = TopList::capacity_for(n, stream);
            if (static_cast<std::int64_t>(buffer.size()) < capacity) buffer.resize(static_cast<std::size_t>(capacity));
            TopList list(buffer.data(), capacity, n);
            for (std::int64_t e = 0; e < stream && n > 0; ++e) {
                if (std::isnan(scores[begin + e])) continue;
                const std::uint64_t key = rank_key(scores[begin + e], static_cast<std::int32_t>(e));
                if (key > list.floor()) list.push(key);
            }
            const std::int64_t found = n > 0 ? list.finish() : 0;
            std::int64_t* out = entries.row(user);
            for (std::int64_t j = 0; j < n; ++j)
                out[j] = j < found ? begin + rank_index(buffer[static_cast<std::size_t>(j)]) : -1;
        }
    });
}

void within_quotas(MatrixView<const std::int32_t> items, const Quotas& quotas, MatrixView<std::int64_t> places) {
    constexpr const char* kCaller = "within_quotas";
    check(!quotas.indptr.empty(), kCaller, ": indptr must have at least one entry; got 0");
    check(places.rows == items.rows, kCaller, ": the output must have one row per list (", items.rows, "); got ",
          places.rows);
    const std::int64_t n_items = quotas.indptr.size - 1, n_categories = quotas.most.size;
    std::vector<std::int64_t> taken(static_cast<std::size_t>(n_categories));
    // Rows of categories are checked where they are read: a look at all of them would cost more than the lists.
    const auto categories_of = [&](std::int32_t item) {
        check(item < n_items, kCaller, ": items must lie in [-1, ", n_items, "); got ", item);
        const std::int64_t begin = quotas.indptr[item], end = quotas.indptr[item + 1];
        check(0 <= begin && begin <= end && end <= quotas.categories.size, kCaller,
              ": indptr must not decrease, from 0 to the number of categories of items (", quotas.categories.size,
              "); got ", begin, " and ", end, " for item ", item);
        return std::span<const std::int32_t>(quotas.categories.data + begin, static_cast<std::size_t>(end - begin));
    };
    for (std::int64_t user = 0; user < items.rows; ++user) {
        const std::int32_t* list = items.row(user);
        std::int64_t* out = places.row(user);
        std::int64_t n = 0;
        for (std::int64_t column = 0; column < items.cols && n < places.cols; ++column) {
            if (list[column] < 0) continue;
            const auto own = categories_of(list[column]);
            const bool full = std::any_of(own.begin(), own.end(), [&](std::int32_t one) {
                check(0 <= one && one < n_categories, kCaller, ": categories must lie in [0, ", n_categories, "); got ",
                      one);
                return taken[static_cast<std::size_t>(one)] >= quotas.most[one];
            });
            if (full) continue;
            for (const std::int32_t one : own) ++taken[static_cast<std::size_t>(one)];
            out[n++] = column;
        }
        for (std::int64_t j = 0; j < n; ++j)
            for (const std::int32_t one : categories_of(list[out[j]])) taken[static_cast<std::size_t>(one)] = 0;
        std::fill(out + n, out + places.cols, std::int64_t{-1});
    }
}

}  // namespace fastcf
