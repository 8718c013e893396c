// A user's scores are added up in a row of all items, which a thread owns; rows are cleared where they were written.
#include "ops/sparse_item_scores.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <numeric>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/item_lists.h"
#include "cpu/topk_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kUsersPerTask = 16;
constexpr std::int64_t kLookup = 8;  // additions that cost as much as finding one weight in a row; a choice

class SparseScores {
  public:
    SparseScores(const SparseItemScoresQuery& query, const char* caller)
        : query_(query),
          caller_(caller),
          sound_(new std::atomic<bool>[static_cast<std::size_t>(query.weights.rows)]()) {}

    std::int64_t n_items() const { return query_.weights.cols; }
    float base(std::int64_t item) const { return query_.base.empty() ? 0.0f : query_.base[item]; }

    // How many weights the history of a user names; -1: there is no history. Looks at the rows.
    std::int64_t examine(std::int32_t user) const {
        if (user < 0) return -1;
        check_row(query_.histories, user, false, caller_, "histories");
        const std::int64_t begin = query_.histories.indptr[user], end = query_.histories.indptr[user + 1];
        std::int64_t named = begin == end ? -1 : 0;
        for (std::int64_t e = begin; e < end; ++e) {
            const std::int32_t j = query_.histories.indices[e];
            std::atomic<bool>& sound = sound_[static_cast<std::size_t>(j)];
            if (!sound.load(std::memory_order_relaxed)) {
                check_row(query_.weights, j, true, caller_, "weights");
                sound.store(true, std::memory_order_relaxed);
            }
            named += query_.weights.row_size(j);
        }
        return named;
    }

    // row += the scores; only of a user with a history that was examined.
    void add_to(std::int32_t user, float* row) const {
        each(user, [&](std::int64_t begin, std::int64_t end, float x) {
            for (std::int64_t e = begin; e < end; ++e) row[query_.weights.indices[e]] += x * query_.weights.values[e];
        });
    }
    void clear(std::int32_t user, std::int64_t named, float* row) const {
        if (4 * named > n_items()) {
            std::fill_n(row, n_items(), 0.0f);
            return;
        }
        each(user, [&](std::int64_t begin, std::int64_t end, float) {
            for (std::int64_t e = begin; e < end; ++e) row[query_.weights.indices[e]] = 0.0f;
        });
    }
    // The same sum for one item.
    float score(std::int32_t user, std::int32_t item) const {
        float sum = 0.0f;
        each(user, [&](std::int64_t begin, std::int64_t end, float x) {
            const std::int32_t* const last = query_.weights.indices + end;
            const std::int32_t* const place = std::lower_bound(query_.weights.indices + begin, last, item);
            if (place != last && *place == item) sum += x * query_.weights.values[place - query_.weights.indices];
        });
        return sum;
    }
    bool looked_up(std::int32_t user, std::int64_t named, std::int64_t pairs) const {
        return pairs * kLookup * query_.histories.row_size(user) < named;
    }

  private:
    template <class Body>
    void each(std::int32_t user, Body&& body) const {
        for (std::int64_t h = query_.histories.indptr[user]; h < query_.histories.indptr[user + 1]; ++h) {
            const std::int32_t j = query_.histories.indices[h];
            body(query_.weights.indptr[j], query_.weights.indptr[j + 1], query_.histories.values[h]);
        }
    }

    const SparseItemScoresQuery& query_;
    const char* caller_;
    std::unique_ptr<std::atomic<bool>[]> sound_;  // rows of weights that were looked at
};

// Takes the best of a row of scores by the kernel that compares the scores of factors, of which there are none here.
class RowScan {
  public:
    RowScan(const TopkPool& pool, const TopkQuery& selection)
        : pool_(pool),
          bias_(selection),
          width_(kernels_.panel_width),
          gathered_(pool.ids.empty() && bias_.empty() ? 0 : (pool.size + width_ - 1) / width_ * width_) {
        std::fill_n(gathered_.data(), gathered_.size(), 0.0f);
    }
    static std::int64_t padded(std::int64_t n_items) {
        return (n_items + kMaxPanelWidth - 1) / kMaxPanelWidth * kMaxPanelWidth;
    }

    // `row` has padded() floats.
    void take(const float* row, ListOfUser& list) {
        if (gathered_.size() > 0) {
            for (std::int64_t at = 0; at < pool_.size; ++at) gathered_[at] = row[pool_.id(at)] + bias_.of(pool_.id(at));
            row = gathered_.data();
        }
        alignas(kAlignment) float scores[kMaxPanelWidth];
        std::uint32_t hits = 0;
        const std::int64_t n_panels = (pool_.size + width_ - 1) / width_;
        for (std::int64_t panel = 0;; ++panel) {
            const float threshold = list.threshold();
            panel = kernels_.scan[1](nullptr, 0, nullptr, row, n_panels, panel, &threshold, scores, &hits);
            if (panel == n_panels) return;
            const std::int64_t left = pool_.size - panel * width_;
            if (left < 32) hits &= (1u << left) - 1u;
            for (; hits != 0; hits &= hits - 1) {
                const int lane = std::countr_zero(hits);
                list.take(scores[lane], pool_.id(panel * width_ + lane));
            }
        }
    }

  private:
    const TopkPool& pool_;
    const ItemBias bias_;
    const TopkKernels& kernels_ = FASTCF_SELECT_ISA(topk_kernels);
    std::int64_t width_;
    AlignedBuffer<float> gathered_;
};

}  // namespace

void sparse_item_scores_block(const SparseItemScoresQuery& query, MatrixView<float> out) {
    constexpr const char* kCaller = "sparse_item_scores_block";
    check_sparse_item_scores(query, kCaller);
    const SparseScores scores(query, kCaller);
    const std::int64_t n_items = scores.n_items();
    check(out.rows == query.users.size && out.cols == n_items, kCaller, ": the result must be (", query.users.size,
          ", ", n_items, "); got (", out.rows, ", ", out.cols, ")");
    parallel_chunks(out.rows, kUsersPerTask, query.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t u = begin; u < end; ++u) {
            const bool known = scores.examine(query.users[u]) >= 0;
            for (std::int64_t i = 0; i < n_items; ++i) out.row(u)[i] = known ? 0.0f : scores.base(i);
            if (known) scores.add_to(query.users[u], out.row(u));
        }
    });
}

void sparse_item_scores_pairs(const SparseItemScoresQuery& query, VectorView<const std::int32_t> items,
                              VectorView<float> out) {
    constexpr const char* kCaller = "sparse_item_scores_pairs";
    check_sparse_item_scores(query, kCaller);
    check_scored_pairs(query.users, items, query.weights.cols, out, kCaller);
    const SparseScores scores(query, kCaller);
    std::vector<std::int64_t> order(static_cast<std::size_t>(items.size)), groups;
    std::iota(order.begin(), order.end(), 0);
    const auto user_at = [&](std::int64_t place) { return query.users[order[static_cast<std::size_t>(place)]]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return query.users[a] < query.users[b]; });
    for (std::int64_t place = 0; place < items.size; ++place)
        if (place == 0 || user_at(place) != user_at(place - 1)) groups.push_back(place);
    groups.push_back(items.size);
    const int threads = resolve_threads(query.n_threads);
    std::vector<std::vector<float>> rows(static_cast<std::size_t>(threads));
    parallel_chunks(static_cast<std::int64_t>(groups.size()) - 1, kUsersPerTask, threads,
                    [&](std::int64_t begin, std::int64_t end, int thread) {
                        std::vector<float>& row = rows[static_cast<std::size_t>(thread)];
                        for (std::int64_t g = begin; g < end; ++g) {
                            const std::int64_t first = groups[static_cast<std::size_t>(g)];
                            const std::int64_t last = groups[static_cast<std::size_t>(g + 1)];
                            const std::int32_t user = user_at(first);
                            const std::int64_t named = scores.examine(user);
                            const bool alone = named >= 0 && scores.looked_up(user, named, last - first);
                            const bool added = named >= 0 && !alone;
                            if (added) {
                                row.resize(static_cast<std::size_t>(scores.n_items()), 0.0f);
                                scores.add_to(user, row.data());
                            }
                            for (std::int64_t place = first; place < last; ++place) {
                                const std::int64_t e = order[static_cast<std::size_t>(place)];
                                const std::int32_t item = items[e];
                                out[e] = item < 0 ? 0.0f
                                         : added  ? row[static_cast<std::size_t>(item)]
                                         : alone  ? scores.score(user, item)
                                                  : scores.base(item);
                            }
                            if (added) scores.clear(user, named, row.data());
                        }
                    });
}

void sparse_item_scores_best(const SparseItemScoresQuery& query, TopkQuery selection, MatrixView<std::int32_t> ids,
                             MatrixView<float> best) {
    constexpr const char* kCaller = "sparse_item_scores_best";
    check_sparse_item_scores(query, kCaller);
    const SparseScores scores(query, kCaller);
    const std::int64_t n_items = scores.n_items(), n = ids.cols, stride = RowScan::padded(n_items);
    selection = selection_among(query.users.size, n_items, selection);
    check_topk(selection, ids, best);
    const TopkPool pool = topk_pool(selection);
    if (query.users.size == 0 || n == 0) return;
    AlignedBuffer<float> base(stride);
    std::fill_n(base.data(), stride, 0.0f);
    for (std::int64_t i = 0; i < n_items; ++i) base[i] = scores.base(i);

    struct Workspace {
        AlignedBuffer<float> row;
        AlignedBuffer<std::uint64_t> keys;
        std::unique_ptr<RowScan> scan;
    };
    const int threads = resolve_threads(query.n_threads);
    const std::int64_t keep = std::min(n, pool.size), capacity = TopList::capacity_for(keep, pool.size);
    std::vector<Workspace> spaces(static_cast<std::size_t>(threads));
    parallel_chunks(query.users.size, kUsersPerTask, threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        Workspace& space = spaces[static_cast<std::size_t>(thread)];
        if (space.scan == nullptr) {
            space.row = AlignedBuffer<float>(stride);
            std::fill_n(space.row.data(), stride, 0.0f);
            space.keys = AlignedBuffer<std::uint64_t>(capacity);
            space.scan = std::make_unique<RowScan>(pool, selection);
        }
        for (std::int64_t u = begin; u < end; ++u) {
            const std::int32_t user = query.users[u];
            const std::int64_t named = scores.examine(user);
            if (named >= 0) scores.add_to(user, space.row.data());
            ListOfUser list(selection, u, space.keys.data(), capacity, keep);
            space.scan->take(named >= 0 ? space.row.data() : base.data(), list);
            list.write(ids.row(u), best.row(u), n);
            if (named >= 0) scores.clear(user, named, space.row.data());
        }
    });
}

}  // namespace fastcf
