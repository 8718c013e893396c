#include "ops/local_weights.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/factor_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRowsPerTask = 8;
std::int64_t padded(std::int64_t n, std::int64_t to) {
    return (n + to - 1) / to * to;
}

// Rows of G in float64, one at a time; zero between them.
class RowSums {
  public:
    RowSums(const LocalWeightsProblem& problem, const LocalWeightsPlan& plan)
        : x_(problem.histories),
          weights_(problem.user_weights.data),
          targets_(problem.targets.data),
          plan_(plan),
          sums_(static_cast<std::size_t>(problem.histories.cols), 0.0) {}

    const double* sums() const { return sums_.data(); }

    // sums[b] = G_ab for the items b from a on.
    void from_diagonal(std::int64_t a) {
        walk(a, [&](std::int64_t, std::int64_t at, std::int64_t end, double weight) {
            add(at, end, x_.values == nullptr ? weight : weight * static_cast<double>(x_.values[at]));
        });
    }
    // sums[b] = (Z'WX)_bj for all b.
    void of_target(std::int64_t j) {
        walk(j, [&](std::int64_t begin, std::int64_t at, std::int64_t end, double weight) {
            if (targets_[at] != 0.0f) add(begin, end, weight * static_cast<double>(targets_[at]));
        });
    }

    // Make the row zero again: few entries are found again, many are cleared with all others.
    void clear_from_diagonal(std::int64_t a) { clear<true>(a); }
    void clear_of_target(std::int64_t j) { clear<false>(j); }

  private:
    // Calls body(begin, at, end, weight) for every user of the item: their history, and where the item is in it.
    template <class Body>
    void walk(std::int64_t item, Body&& body) const {
        const auto* const occurrences = plan_.occurrences();
        for (std::int64_t c = plan_.indptr()[item]; c < plan_.indptr()[item + 1]; ++c) {
            const auto [user, place] = occurrences[c];
            const std::int64_t begin = x_.indptr[user];
            body(begin, begin + place, x_.indptr[user + 1], static_cast<double>(weights_[user]));
        }
    }

    void add(std::int64_t begin, std::int64_t end, double scale) {
        double* const sums = sums_.data();
        if (x_.values == nullptr)
            for (std::int64_t e = begin; e < end; ++e) sums[x_.indices[e]] += scale;
        else
            for (std::int64_t e = begin; e < end; ++e) sums[x_.indices[e]] += scale * static_cast<double>(x_.values[e]);
    }

    template <bool kFromDiagonal>
    void clear(std::int64_t item) {
        const std::int64_t first = kFromDiagonal ? item : 0;
        std::int64_t touched = 0;
        walk(item, [&](std::int64_t begin, std::int64_t at, std::int64_t end, double) {
            touched += end - (kFromDiagonal ? at : begin);
        });
        if (4 * touched > x_.cols - first) {
            std::fill(sums_.begin() + first, sums_.end(), 0.0);
            return;
        }
        walk(item, [&](std::int64_t begin, std::int64_t at, std::int64_t end, double) {
            for (std::int64_t e = kFromDiagonal ? at : begin; e < end; ++e)
                sums_[static_cast<std::size_t>(x_.indices[e])] = 0.0;
        });
    }

    const CsrView& x_;
    const float *weights_, *targets_;
    const LocalWeightsPlan& plan_;
    std::vector<double> sums_;
};

// One thread's system.
class System {
  public:
    System(const LocalWeightsProblem& problem, std::int64_t most)
        : problem_(problem),
          kernels_(FASTCF_SELECT_ISA(factor_kernels)),
          ld_(padded(most, kRegressionFloatPad)),
          matrix_(ld_ * ld_),
          inverses_(2 * kRegressionFloatPad * ld_),
          x_(ld_) {
        std::fill_n(matrix_.data(), ld_ * ld_, 0.0f);
    }

    // x = (A + penalties)^-1 x, A being an upper triangle of m rows; false where that is singular or not finite.
    bool solve(const float* triangle, std::int64_t m, float* x) {
        const std::int64_t size = padded(m, kRegressionFloatPad), lead = size - m;
        fill(triangle, m, size);
        if (!kernels_.cholesky_float(matrix_.data(), size, size, lead, kLocalPivot, inverses_.data()))
            return solve_in_doubles(triangle, m, problem_, x);
        std::fill_n(x_.data(), lead, 0.0f);
        std::copy_n(x, m, x_.data() + lead);
        kernels_.solve_float(matrix_.data(), size, size, inverses_.data(), x_.data());
        std::copy_n(x_.data() + lead, m, x);
        return finite(x, m);
    }

  private:
    // The triangle, with the penalties, as the last rows and columns of an identity.
    void fill(const float* triangle, std::int64_t m, std::int64_t size) {
        const double scale = 1 + problem_.diagonal;
        const std::int64_t lead = size - m;
        for (std::int64_t i = 0; i < lead; ++i) {
            float* const row = matrix_.data() + i * size;
            std::fill_n(row, size, 0.0f);
            row[i] = 1.0f;
        }
        for (std::int64_t i = 0; i < m; ++i) {
            float* const row = matrix_.data() + (lead + i) * size + lead;
            row[i] = static_cast<float>(scale * static_cast<double>(*triangle++) + problem_.reg);
            for (std::int64_t j = i + 1; j < m; ++j) row[j] = *triangle++;
        }
    }

    static bool finite(const float* values, std::int64_t n) {
        float sum = 0.0f;  // of zeros, or NaN
        for (std::int64_t i = 0; i < n; ++i) sum += 0.0f * values[i];
        return sum == 0.0f;
    }

    const LocalWeightsProblem& problem_;
    const FactorKernels& kernels_;
    std::int64_t ld_;
    AlignedBuffer<float> matrix_, inverses_, x_;
};

class LocalWeights {
  public:
    LocalWeights(const LocalWeightsProblem& problem, VectorView<float> weights, int n_threads)
        : problem_(problem), plan_(problem), weights_(weights), threads_(resolve_threads(n_threads)) {
        for (std::int64_t j = 0; j < problem.histories.cols; ++j) most_ = std::max(most_, plan_.n_neighbours(j));
        if (most_ == 0) return;
        for (int t = 0; t < threads_; ++t) {
            sums_.emplace_back(problem, plan_);
            systems_.emplace_back(problem, most_);
        }
        std::int64_t numbers = 0;
        for (std::int64_t b = 0; b < plan_.n_blocks(); ++b) numbers = std::max(numbers, plan_.block_size(b));
        triangles_ = AlignedBuffer<float>(numbers);
    }

    void run() {
        if (most_ == 0) return;
        for (std::int64_t b = 0; b < plan_.n_blocks(); ++b) {
            const LocalWeightsPlan::Block block = plan_.block(b);
            gather(block);
            solve(block);
        }
    }

  private:
    const std::int32_t* neighbours(std::int64_t item) const {
        return problem_.neighbours.data + problem_.neighbour_indptr[item];
    }
    float* right(std::int64_t item) const {  // the weights' own place
        return weights_.data + problem_.neighbour_indptr[item];
    }

    // Cuts the systems out of the rows of G.
    void gather(const LocalWeightsPlan::Block& block) {
        const auto n_rows = static_cast<std::int64_t>(block.rows.size());
        parallel_chunks(n_rows, kRowsPerTask, threads_, [&](std::int64_t begin, std::int64_t end, int thread) {
            RowSums& sums = sums_[static_cast<std::size_t>(thread)];
            for (std::int64_t r = begin; r < end; ++r) {
                const std::int64_t a = block.rows[static_cast<std::size_t>(r)];
                const bool own = a >= block.begin && a < block.end;
                sums.from_diagonal(a);
                cut_row(block, a, sums.sums());
                if (own && problem_.targets.empty()) cut_right(a, true, sums.sums());
                sums.clear_from_diagonal(a);
                if (!own || problem_.targets.empty()) continue;
                sums.of_target(a);
                cut_right(a, false, sums.sums());
                sums.clear_of_target(a);
            }
        });
    }

    void cut_row(const LocalWeightsPlan::Block& block, std::int64_t a, const double* sums) {
        for (std::int64_t e = block.use_indptr[static_cast<std::size_t>(a)];
             e < block.use_indptr[static_cast<std::size_t>(a + 1)]; ++e) {
            const auto [local, place] = block.uses[static_cast<std::size_t>(e)];
            const std::int64_t j = block.begin + local, m = plan_.n_neighbours(j);
            const std::int32_t* const others = neighbours(j);
            float* const row =
                triangles_.data() + block.triangle[static_cast<std::size_t>(local)] - place + triangle_row(place, m);
            for (std::int64_t q = place; q < m; ++q) row[q] = static_cast<float>(sums[others[q]]);
            if (problem_.targets.empty() && j > a) right(j)[place] = static_cast<float>(sums[j]);
        }
    }

    void cut_right(std::int64_t j, bool only_later, const double* sums) {
        const std::int32_t* const others = neighbours(j);
        for (std::int64_t q = 0; q < plan_.n_neighbours(j); ++q)
            if (!only_later || others[q] > j) right(j)[q] = static_cast<float>(sums[others[q]]);
    }

    void solve(const LocalWeightsPlan::Block& block) {
        std::atomic<std::int64_t> singular{problem_.histories.cols};  // the first such item
        parallel_chunks(block.end - block.begin, kRowsPerTask, threads_,
                        [&](std::int64_t begin, std::int64_t end, int thread) {
                            for (std::int64_t i = begin; i < end; ++i) {
                                const std::int64_t j = block.begin + i, m = plan_.n_neighbours(j);
                                if (m == 0) continue;
                                if (systems_[static_cast<std::size_t>(thread)].solve(
                                        triangles_.data() + block.triangle[static_cast<std::size_t>(i)], m, right(j)))
                                    continue;
                                std::int64_t first = singular.load();
                                while (j < first && !singular.compare_exchange_weak(first, j)) {
                                }
                            }
                        });
        check_determined(singular.load(), problem_);
    }

    const LocalWeightsProblem& problem_;
    LocalWeightsPlan plan_;
    VectorView<float> weights_;
    int threads_;
    std::int64_t most_ = 0;
    std::vector<RowSums> sums_;
    std::vector<System> systems_;
    AlignedBuffer<float> triangles_;
};

}  // namespace

void local_weights(const LocalWeightsProblem& problem, VectorView<float> weights, int n_threads) {
    check_local_weights(problem, weights);
    LocalWeights(problem, weights, n_threads).run();
}

}  // namespace fastcf
