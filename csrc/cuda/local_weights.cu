// A block adds up rows of G in a row of all items in global memory, which L2 holds, one user's history after the other,
// and cuts them into the triangles of the systems that they belong to; a second kernel solves a system per block, by
// the factorisation that alternating least squares has.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/interrupt.h"
#include "cuda/als_system.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/local_weights.h"

namespace fastcf {
namespace {

constexpr int kThreads = 128;
constexpr int kSolveThreads = 256;
constexpr std::int64_t kSumBytes = 256 << 20;     // of rows of G at once
constexpr std::int64_t kSystemBytes = 512 << 20;  // of systems too large for shared memory at once
constexpr std::int64_t kMostBlocks = 4096;        // of rows of G at once

struct Choices {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> indices;
    Global<const float> values, targets, user_weights;  // values and targets may be null
    Global<const std::int64_t> item_indptr;
    Global<const std::int32_t> occurrences;  // by item: pairs of the user and the place in their history
    std::int64_t n_items;
};

struct Cuts {
    Global<const std::int64_t> neighbour_indptr;
    Global<const std::int32_t> neighbours;
    Global<const std::int64_t> triangle, use_indptr;
    Global<const std::int32_t> uses;  // pairs of the item, counted from `begin`, and the place
    Global<const std::int32_t> rows;
    std::int64_t begin, end, n_rows;
    Global<float> triangles, weights;  // weights: the right sides, until systems are solved
};

enum class Walk { from_diagonal, target, clear_from_diagonal, clear_target };

// Passes over the histories of the users of an item, one user after the other: no two threads write the same place.
template <Walk walk>
FASTCF_DEVICE void pass(const Choices& x, std::int64_t item, Global<double> sums) {
    constexpr bool kHalf = walk == Walk::from_diagonal || walk == Walk::clear_from_diagonal;
    constexpr bool kClear = walk == Walk::clear_from_diagonal || walk == Walk::clear_target;
    const std::int64_t first = x.item_indptr[item], last = x.item_indptr[item + 1];
    for (std::int64_t c = first; c < last; ++c) {
        const std::int32_t user = x.occurrences[2 * c], place = x.occurrences[2 * c + 1];
        const std::int64_t start = x.indptr[user], end = x.indptr[user + 1], at = start + place;
        const float weight = x.user_weights[user];
        float own = 1.0f;
        if (!kHalf && x.targets != nullptr)
            own = x.targets[at];
        else if (x.values != nullptr)
            own = x.values[at];
        const double scale = static_cast<double>(weight) * static_cast<double>(own);
        for (std::int64_t e = (kHalf ? at : start) + threadIdx.x; e < end; e += blockDim.x) {
            const std::int32_t b = x.indices[e];
            if (kClear) {
                sums[b] = 0.0;
            } else {
                float value = 1.0f;
                if (x.values != nullptr) value = x.values[e];
                const double before = sums[b];
                sums[b] = before + scale * static_cast<double>(value);
            }
        }
        block_sync();
    }
}

FASTCF_DEVICE void cut_right(const Cuts& cuts, std::int64_t j, bool only_later, Global<const double> sums) {
    const std::int64_t first = cuts.neighbour_indptr[j], last = cuts.neighbour_indptr[j + 1];
    for (std::int64_t e = first + threadIdx.x; e < last; e += blockDim.x) {
        const std::int32_t other = cuts.neighbours[e];
        if (only_later && other <= j) continue;
        const double sum = sums[other];
        cuts.weights[e] = static_cast<float>(sum);
    }
}

// A block takes every so many-th row: 24 bytes from L2 and an addition of float64 per pair of choices of a user, m
// numbers fetched per use. Bound by the fetches from L2 and, where histories are short, by a barrier per user. 128
// threads. Deterministic.
FASTCF_KERNEL(kThreads, 8)
void local_rows_kernel(Choices x, Cuts cuts, Global<double> all_sums) {
    const Global<double> sums = all_sums + blockIdx.x * x.n_items;
    for (std::int64_t r = blockIdx.x; r < cuts.n_rows; r += gridDim.x) {
        const std::int32_t a = cuts.rows[r];
        const bool own = a >= cuts.begin && a < cuts.end;
        pass<Walk::from_diagonal>(x, a, sums);
        const std::int64_t first_use = cuts.use_indptr[a], last_use = cuts.use_indptr[a + 1];
        for (std::int64_t u = first_use + warp_index(); u < last_use; u += kThreads / kWarp) {
            const std::int32_t local = cuts.uses[2 * u], place = cuts.uses[2 * u + 1];
            const std::int64_t j = cuts.begin + local, first = cuts.neighbour_indptr[j];
            const std::int64_t m = cuts.neighbour_indptr[j + 1] - first;
            const std::int64_t start = cuts.triangle[local];
            const std::int64_t row = start + triangle_row(place, m) - place;
            for (std::int64_t q = place + lane_index(); q < m; q += kWarp) {
                const std::int32_t other = cuts.neighbours[first + q];
                const double sum = sums[other];
                cuts.triangles[row + q] = static_cast<float>(sum);
            }
            if (x.targets == nullptr && j > a && lane_index() == 0) {
                const double sum = sums[j];
                cuts.weights[first + place] = static_cast<float>(sum);
            }
        }
        if (own && x.targets == nullptr) cut_right(cuts, a, true, sums);
        block_sync();
        pass<Walk::clear_from_diagonal>(x, a, sums);
        if (own && x.targets != nullptr) {
            pass<Walk::target>(x, a, sums);
            cut_right(cuts, a, false, sums);
            block_sync();
            pass<Walk::clear_target>(x, a, sums);
        }
    }
}

// Where a block keeps its system, of so many numbers: in shared memory, or in its part of `systems`.
template <bool kLarge>
FASTCF_DEVICE Global<float> system_space(Global<float> systems, std::int64_t words) {
    if constexpr (kLarge) {
        return systems + blockIdx.x * words;
    } else {
        FASTCF_DYNAMIC_SHARED(float, shared);
        return shared;
    }
}

// One block per system: m^3 / 3 flops, 2 m^2 bytes read. In shared memory where it fits (m up to 230 on an H200), bound
// by its barriers and the multipliers; else in global memory, bound by L2. `unsolved` gets 1 where a pivot is lost or a
// number not finite. 256 threads. Deterministic.
template <bool kLarge>
FASTCF_KERNEL(kSolveThreads, 1)
void local_solve_kernel(Cuts cuts, std::int64_t first_item, std::int64_t most, float scale, float reg,
                        Global<float> systems, Global<std::int32_t> unsolved) {
    FASTCF_SHARED(int, lost, 1);
    const std::int64_t j = first_item + blockIdx.x, first = cuts.neighbour_indptr[j];
    const int m = static_cast<int>(cuts.neighbour_indptr[j + 1] - first);
    const int size = (m + als::kPanel - 1) / als::kPanel * als::kPanel, ld = size + 4;
    const int most_size = static_cast<int>(most + als::kPanel - 1) / als::kPanel * als::kPanel;
    const Shared<float> a = system_space<kLarge>(systems, std::int64_t{most_size} * (most_size + 4) + 3 * most_size);
    const Shared<float> diagonal = a + std::int64_t{most_size} * (most_size + 4), inverse = diagonal + most_size,
                        x = inverse + most_size;
    const std::int64_t start = cuts.triangle[j - cuts.begin];
    const int t = static_cast<int>(threadIdx.x);
    if (t == 0) lost[0] = 0;
    for (std::int64_t u = t; u < std::int64_t{size} * ld; u += kSolveThreads) {
        const std::int64_t i = u / ld, q = u % ld;
        float entry = 0.0f;
        if (i < m && q == size) {
            entry = cuts.weights[first + i];
        } else if (i < m && q >= i && q < m) {
            entry = cuts.triangles[start + triangle_row(i, m) + q - i];
            if (q == i) entry = scale * entry + reg;
        } else if (i >= m && q == i) {
            entry = 1.0f;
        }
        a[u] = entry;
        if (q == i) diagonal[i] = entry;
    }
    block_sync();
    using Index = std::conditional_t<kLarge, std::int64_t, int>;
    als::factorise<Index>(a, size, ld, diagonal, inverse);
    for (int i = t; i < size; i += kSolveThreads) {
        const float root = inverse[i], begun = diagonal[i], y = a[std::int64_t{i} * ld + size];
        if (!(root > 0.0f && 1.0f > kLocalPivot * begun * root * root)) atomic_max(lost, 1);
        x[i] = y;
    }
    block_sync();
    als::back_substitute<Index>(a, size, ld, inverse, x);
    for (int i = t; i < m; i += kSolveThreads) {
        const float weight = x[i];
        if (!(0.0f * weight == 0.0f)) atomic_max(lost, 1);
    }
    block_sync();
    const int any_lost = lost[0];
    if (t == 0) unsolved[j - cuts.begin] = any_lost;
    for (int i = t; any_lost == 0 && i < m; i += kSolveThreads) {
        const float weight = x[i];
        cuts.weights[first + i] = weight;
    }
}

class DeviceSystems {
  public:
    DeviceSystems(const LocalWeightsProblem& problem, const LocalWeightsPlan& plan, VectorView<float> weights)
        : problem_(problem),
          plan_(plan),
          indptr_(problem.histories.indptr, problem.histories.rows + 1),
          item_indptr_(plan.indptr(), problem.histories.cols + 1),
          neighbour_indptr_(problem.neighbour_indptr),
          indices_(problem.histories.indices, problem.histories.nnz()),
          neighbours_(problem.neighbours),
          occurrences_(&plan.occurrences()->user, 2 * problem.histories.nnz()),
          values_(problem.histories.values, problem.histories.nnz()),
          targets_(problem.targets),
          user_weights_(problem.user_weights),
          weights_(weights),
          host_weights_(weights.data) {
        for (std::int64_t j = 0; j < problem.histories.cols; ++j) most_ = std::max(most_, plan.n_neighbours(j));
        const std::int64_t n_items = problem.histories.cols;
        rows_at_once_ = std::clamp<std::int64_t>(kSumBytes / (8 * n_items), 1, kMostBlocks);
        sums_ = DeviceArray<double>::zeros(rows_at_once_ * n_items);
    }

    void run() {
        for (std::int64_t number = 0; number < plan_.n_blocks(); ++number) {
            if (interrupt_pending()) throw Interrupted();
            run(plan_.block(number));
        }
        weights_.finish();
        for (const Patch& patch : patches_)
            std::copy(patch.weights.begin(), patch.weights.end(),
                      host_weights_ + problem_.neighbour_indptr[patch.item]);
    }

  private:
    // What was solved in float64.
    struct Patch {
        std::int64_t item;
        std::vector<float> weights;
    };

    void run(const LocalWeightsPlan::Block& block) {
        const std::int64_t n = block.end - block.begin;
        if (block.triangle.back() == 0) return;
        const DeviceArray<std::int64_t> triangle(block.triangle), use_indptr(block.use_indptr);
        const DeviceArray<std::int32_t> uses(&block.uses.data()->item,
                                             2 * static_cast<std::int64_t>(block.uses.size()));
        const DeviceArray<std::int32_t> rows(block.rows);
        DeviceArray<float> triangles(block.triangle.back());
        Cuts cuts{neighbour_indptr_.data(),
                  neighbours_.data(),
                  triangle.data(),
                  use_indptr.data(),
                  uses.data(),
                  rows.data(),
                  block.begin,
                  block.end,
                  static_cast<std::int64_t>(block.rows.size()),
                  triangles.data(),
                  weights_.data()};
        const Choices choices{indptr_.data(),       indices_.data(),     values_.data(),      targets_.data(),
                              user_weights_.data(), item_indptr_.data(), occurrences_.data(), problem_.histories.cols};
        FASTCF_LAUNCH(local_rows_kernel, std::min(rows_at_once_, cuts.n_rows), kThreads, 0, choices, cuts,
                      sums_.data());
        DeviceArray<std::int32_t> unsolved(n);
        solve(cuts, unsolved.data());
        const std::vector<std::int32_t> lost = unsolved.to_host();
        for (std::int64_t i = 0; i < n; ++i)
            if (lost[static_cast<std::size_t>(i)] != 0) solve_on_host(block, i, triangles.data());
    }

    void solve(const Cuts& cuts, std::int32_t* unsolved) const {
        const std::int64_t n = cuts.end - cuts.begin;
        const std::int64_t size = blocks_for(most_, als::kPanel) * als::kPanel;
        const std::int64_t bytes = 4 * (size * (size + 4) + 3 * size);
        const auto scale = static_cast<float>(1 + problem_.diagonal), reg = static_cast<float>(problem_.reg);
        if (bytes + 512 <= most_shared_bytes()) {
            float* const none = nullptr;
            FASTCF_LAUNCH(local_solve_kernel<false>, n, kSolveThreads, bytes, cuts, cuts.begin, most_, scale, reg, none,
                          unsolved);
            return;
        }
        const std::int64_t at_once = std::clamp<std::int64_t>(kSystemBytes / bytes, 1, n);
        DeviceArray<float> systems(at_once * bytes / 4);
        for (std::int64_t first = cuts.begin; first < cuts.end; first += at_once)
            FASTCF_LAUNCH(local_solve_kernel<true>, std::min(at_once, cuts.end - first), kSolveThreads, 0, cuts, first,
                          most_, scale, reg, systems.data(), unsolved);
    }

    void solve_on_host(const LocalWeightsPlan::Block& block, std::int64_t i, const float* triangles) {
        const std::int64_t j = block.begin + i, m = plan_.n_neighbours(j),
                           start = block.triangle[static_cast<std::size_t>(i)];
        std::vector<float> triangle(static_cast<std::size_t>(m * (m + 1) / 2)), x(static_cast<std::size_t>(m));
        device_download(triangle.data(), triangles + start, m * (m + 1) / 2 * 4);
        device_download(x.data(), weights_.data() + problem_.neighbour_indptr[j], m * 4);
        check_determined(solve_in_doubles(triangle.data(), m, problem_, x.data()) ? problem_.histories.cols : j,
                         problem_);
        patches_.push_back({j, x});
    }

    const LocalWeightsProblem& problem_;
    const LocalWeightsPlan& plan_;
    const In<std::int64_t> indptr_, item_indptr_, neighbour_indptr_;
    const In<std::int32_t> indices_, neighbours_, occurrences_;
    const In<float> values_, targets_, user_weights_;
    const Out<float> weights_;
    float* host_weights_;
    DeviceArray<double> sums_;
    std::int64_t most_ = 0, rows_at_once_ = 1;
    std::vector<Patch> patches_;
};

}  // namespace

void local_weights(const LocalWeightsProblem& problem, VectorView<float> weights, int) {
    check_local_weights(problem, weights);
    if (weights.size == 0) return;
    const LocalWeightsPlan plan(problem);
    DeviceSystems(problem, plan, weights).run();
}

}  // namespace fastcf
