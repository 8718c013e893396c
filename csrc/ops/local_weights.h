// The weights of a linear item model between an item and its neighbours: the closed form restricted to a few items.
//
// Z and X are (users, items), W the diagonal of the users' weights. For item j with the neighbours N, in ascending
// order and without j, the weights b minimise
//     sum_u w_u (x_uj - sum_N z_ui b_i)^2 + sum_N (diagonal G_ii + reg) b_i^2,    G = Z'WZ,
// so that (G_NN + diagonal diag(G_NN) + reg I) b = (Z'WX)_Nj. For Z = X these are -c_N / c_j of the column c of the
// inverse of the same matrix over N and j (H. Steck, "Embarrassingly Shallow Autoencoders", WWW 2019, and "Autoencoders
// that don't overfit towards the identity", NeurIPS 2020): the factor of j, put last, is needed for nothing else than
// this right side.
//
// Cost: m^3 / 6 + m^2 multiply-adds per item of m neighbours. The matrices G_NN are cut out of rows of G, which are
// made one at a time, sparsely, from the diagonal on: a pass over a block of items takes at most sum_u n_u^2 / 2
// additions, and m^2 / 2 numbers are fetched per item. As many items make a block as `scratch_bytes` hold, 2 m^2 + 14 m
// bytes each; with `targets` the right sides take sum_u n_u^2 additions more, once. Made-up choices of 100,000 items,
// 10 M in all, sum n_u^2 = 4 G, m = 100: 17 G multiply-adds and, in two blocks, 4 G additions at most took 19 processor
// seconds on a busy machine. Memory beside the arguments
// and the scratch: 8 bytes an entry, 8 bytes per item and thread. Never the square of the items.
//
// G is summed in float64 by ascending user and rounded to float32, in which systems are solved; one that is singular to
// float32 is solved in float64. Rows of G and systems are tasks of their own: the same bits for any number of threads
// and any size of the scratch.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/check.h"
#include "core/device.h"
#include "core/view.h"

namespace fastcf {

struct LocalWeightsProblem {
    CsrView histories;                                // rows: users; values: z, null: ones
    VectorView<const float> targets;                  // x, one per entry, or empty: x = z
    VectorView<const float> user_weights;             // w, not negative
    VectorView<const std::int64_t> neighbour_indptr;  // (items + 1,)
    VectorView<const std::int32_t> neighbours;        // of each item, ascending, without itself
    double reg = 0;                                   // not negative
    double diagonal = 0;                              // not negative
    std::int64_t scratch_bytes = std::int64_t{1} << 30;
};

// weights[e] = what neighbour e gives to its item. Throws std::invalid_argument for arguments that break the above, and
// for an item whose system is singular to float64 or not finite.
void local_weights(const LocalWeightsProblem& problem, VectorView<float> weights, int n_threads);

// What local_weights asks on every device.
inline void check_local_weights(const LocalWeightsProblem& problem, const VectorView<float>& weights) {
    const char* caller = "local_weights";
    const std::int64_t n_items = problem.histories.cols, n = problem.histories.nnz();
    check(problem.user_weights.size == problem.histories.rows, caller, ": user_weights must have one entry per user (",
          problem.histories.rows, "); got ", problem.user_weights.size);
    for (std::int64_t u = 0; u < problem.user_weights.size; ++u)
        check(problem.user_weights[u] >= 0, caller, ": user_weights must not be negative; got ",
              problem.user_weights[u], " at user ", u);
    check(problem.targets.empty() || problem.targets.size == n, caller, ": targets must have one entry per history (",
          n, "); got ", problem.targets.size);
    check(problem.reg >= 0 && problem.diagonal >= 0, caller, ": reg and diagonal must not be negative; got ",
          problem.reg, " and ", problem.diagonal);
    check(problem.scratch_bytes > 0, caller, ": scratch_bytes must be positive; got ", problem.scratch_bytes);
    check(weights.size == problem.neighbours.size, caller, ": weights must have one entry per neighbour (",
          problem.neighbours.size, "); got ", weights.size);
    for (std::int64_t u = 0; u < problem.histories.rows; ++u)
        for (std::int64_t e = problem.histories.indptr[u] + 1; e < problem.histories.indptr[u + 1]; ++e)
            check(problem.histories.indices[e - 1] < problem.histories.indices[e], caller,
                  ": indices must ascend within a user; they do not at entry ", e);
    check(problem.neighbour_indptr.size == n_items + 1, caller, ": neighbour_indptr must have ", n_items + 1,
          " entries; got ", problem.neighbour_indptr.size);
    check_csr({problem.neighbour_indptr.data, problem.neighbours.data, nullptr, n_items, n_items},
              problem.neighbours.size, caller);
    for (std::int64_t j = 0; j < n_items; ++j)
        for (std::int64_t e = problem.neighbour_indptr[j]; e < problem.neighbour_indptr[j + 1]; ++e) {
            check(problem.neighbours[e] != j, caller, ": no item may be its own neighbour; item ", j, " is");
            check(e == problem.neighbour_indptr[j] || problem.neighbours[e - 1] < problem.neighbours[e], caller,
                  ": neighbours must ascend within an item; they do not at entry ", e);
        }
}

// Where row `row` of the upper triangle of an (m, m) matrix begins.
FASTCF_HD inline std::int64_t triangle_row(std::int64_t row, std::int64_t m) {
    return row * m - row * (row - 1) / 2;
}

// How the systems are put together, on the host for every device: the histories by item, and blocks of items whose
// systems are in memory at the same time.
class LocalWeightsPlan {
    template <class Vector>
    static auto& at(Vector& vector, std::int64_t i) {
        return vector[static_cast<std::size_t>(i)];
    }

  public:
    // An entry of an item: its user, and its place in the user's history.
    struct Occurrence {
        std::int32_t user;
        std::int32_t place;
    };
    // Where the row of an item belongs: the item of the block whose neighbour it is, and which one.
    struct Use {
        std::int32_t item;  // counted from the first one of the block
        std::int32_t place;
    };
    // Items [begin, end). The upper triangles of their matrices lie one after the other, row by row.
    struct Block {
        std::int64_t begin = 0, end = 0;
        std::vector<std::int64_t> triangle;    // where that of an item begins; one more for the end
        std::vector<std::int64_t> use_indptr;  // (items + 1,)
        std::vector<Use> uses;
        std::vector<std::int32_t> rows;  // items whose rows of G have a use, or which are in the block themselves
    };

    explicit LocalWeightsPlan(const LocalWeightsProblem& problem) : problem_(problem) {
        const CsrView& x = problem.histories;
        indptr_.assign(static_cast<std::size_t>(x.cols + 1), 0);
        for (std::int64_t e = 0; e < x.nnz(); ++e) ++at(indptr_, x.indices[e] + 1);
        for (std::int64_t i = 0; i < x.cols; ++i) at(indptr_, i + 1) += at(indptr_, i);
        occurrences_.resize(static_cast<std::size_t>(x.nnz()));
        std::vector<std::int64_t> next = indptr_;
        for (std::int64_t u = 0; u < x.rows; ++u)
            for (std::int64_t e = x.indptr[u]; e < x.indptr[u + 1]; ++e)
                at(occurrences_, at(next, x.indices[e])++) = {static_cast<std::int32_t>(u),
                                                              static_cast<std::int32_t>(e - x.indptr[u])};
        starts_.push_back(0);
        std::int64_t bytes = 0;
        for (std::int64_t j = 0; j < x.cols; ++j) {
            const std::int64_t own = bytes_of(n_neighbours(j));
            if (bytes > 0 && bytes + own > problem.scratch_bytes) {
                starts_.push_back(j);
                bytes = 0;
            }
            bytes += own;
        }
        starts_.push_back(x.cols);
    }

    std::int64_t n_blocks() const { return static_cast<std::int64_t>(starts_.size()) - 1; }
    std::int64_t n_neighbours(std::int64_t item) const {
        return problem_.neighbour_indptr[item + 1] - problem_.neighbour_indptr[item];
    }
    // Numbers of all triangles of a block.
    std::int64_t block_size(std::int64_t number) const {
        std::int64_t size = 0;
        for (std::int64_t j = at(starts_, number); j < at(starts_, number + 1); ++j)
            size += n_neighbours(j) * (n_neighbours(j) + 1) / 2;
        return size;
    }
    const std::int64_t* indptr() const { return indptr_.data(); }
    const Occurrence* occurrences() const { return occurrences_.data(); }

    Block block(std::int64_t number) const {
        Block block;
        block.begin = at(starts_, number);
        block.end = at(starts_, number + 1);
        const std::int64_t n_items = problem_.histories.cols;
        const std::int64_t first = problem_.neighbour_indptr[block.begin], last = problem_.neighbour_indptr[block.end];
        block.triangle.push_back(0);
        for (std::int64_t j = block.begin; j < block.end; ++j)
            block.triangle.push_back(block.triangle.back() + n_neighbours(j) * (n_neighbours(j) + 1) / 2);
        block.use_indptr.assign(static_cast<std::size_t>(n_items + 1), 0);
        for (std::int64_t e = first; e < last; ++e) ++at(block.use_indptr, problem_.neighbours[e] + 1);
        for (std::int64_t i = 0; i < n_items; ++i) {
            if (at(block.use_indptr, i + 1) > 0 || (i >= block.begin && i < block.end))
                block.rows.push_back(static_cast<std::int32_t>(i));
            at(block.use_indptr, i + 1) += at(block.use_indptr, i);
        }
        block.uses.resize(static_cast<std::size_t>(last - first));
        std::vector<std::int64_t> next = block.use_indptr;
        for (std::int64_t j = block.begin; j < block.end; ++j)
            for (std::int64_t e = problem_.neighbour_indptr[j]; e < problem_.neighbour_indptr[j + 1]; ++e)
                at(block.uses, at(next, problem_.neighbours[e])++) = {
                    static_cast<std::int32_t>(j - block.begin),
                    static_cast<std::int32_t>(e - problem_.neighbour_indptr[j])};
        return block;
    }

  private:
    static std::int64_t bytes_of(std::int64_t m) {  // triangle, right side and uses
        return 2 * m * (m + 1) + 12 * m;
    }

    const LocalWeightsProblem& problem_;
    std::vector<std::int64_t> indptr_;
    std::vector<Occurrence> occurrences_;  // by item, and by user within an item
    std::vector<std::int64_t> starts_;
};

// x = (A + diagonal diag(A) + reg I)^-1 x in float64, A being an upper triangle of m rows: for the few systems that are
// singular to float32. False where this one is singular, or not finite.
inline bool solve_in_doubles(const float* triangle, std::int64_t m, const LocalWeightsProblem& problem, float* x) {
    constexpr double kPivot = 1e-11;  // of its diagonal entry; entries were rounded to float32 before
    std::vector<double> rows, y(static_cast<std::size_t>(m));  // R of R'R, of the same form, and R'^-1 x
    rows.assign(triangle, triangle + triangle_row(m, m));
    const auto at = [&](std::int64_t i, std::int64_t j) -> double& {
        return rows[static_cast<std::size_t>(triangle_row(i, m) + j - i)];
    };
    for (std::int64_t i = 0; i < m; ++i) {
        const double begun = (1 + problem.diagonal) * at(i, i) + problem.reg;
        at(i, i) = begun;
        double sum = static_cast<double>(x[i]);
        for (std::int64_t k = 0; k < i; ++k) {
            for (std::int64_t j = i; j < m; ++j) at(i, j) -= at(k, i) * at(k, j);
            sum -= at(k, i) * y[static_cast<std::size_t>(k)];
        }
        if (!(at(i, i) > kPivot * begun)) return false;
        const double root = std::sqrt(at(i, i));
        for (std::int64_t j = i; j < m; ++j) at(i, j) /= root;
        y[static_cast<std::size_t>(i)] = sum / root;
    }
    for (std::int64_t i = m - 1; i >= 0; --i) {
        double sum = y[static_cast<std::size_t>(i)];
        for (std::int64_t j = i + 1; j < m; ++j) sum -= at(i, j) * y[static_cast<std::size_t>(j)];
        y[static_cast<std::size_t>(i)] = sum / at(i, i);
        if (!std::isfinite(y[static_cast<std::size_t>(i)])) return false;
    }
    for (std::int64_t i = 0; i < m; ++i) x[i] = static_cast<float>(y[static_cast<std::size_t>(i)]);
    return true;
}

// A pivot of float32 below this share of its diagonal entry has lost its digits.
inline constexpr float kLocalPivot = 1e-4f;

// `item` is the first whose weights could not be computed, or n_items.
inline void check_determined(std::int64_t item, const LocalWeightsProblem& problem) {
    check(item == problem.histories.cols, "local_weights: reg or diagonal must be larger: the weights of item ", item,
          " are not determined, or values are not finite; got ", problem.reg, " and ", problem.diagonal);
}

}  // namespace fastcf
