#include "ops/regression.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "cpu/regression_problem.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRowsPerTask = 8;

void check_arguments(const CsrView& ratings, VectorView<const float> sample_weights, const RegressionFeatures& features,
                     const RegressionOptions& options, MatrixView<float> weights, VectorView<float> intercept) {
    const char* caller = "regress_rows";
    check(ratings.values != nullptr || ratings.nnz() == 0, caller, ": values must not be None");
    check(features.rows() == ratings.cols, caller, ": features must have one row per column of the ratings (",
          ratings.cols, "); got ", features.rows());
    check(sample_weights.empty() || sample_weights.size == ratings.nnz(), caller,
          ": sample_weights must have one entry per rating (", ratings.nnz(), "); got ", sample_weights.size);
    check(weights.rows == ratings.rows && weights.cols == features.cols(), caller, ": weights must have shape (",
          ratings.rows, ", ", features.cols(), "); got (", weights.rows, ", ", weights.cols, ")");
    check(intercept.size == ratings.rows, caller, ": intercept must have ", ratings.rows, " entries; got ",
          intercept.size);
    check(std::isfinite(options.reg) && options.reg >= 0, caller, ": reg must be at least 0; got ", options.reg);
    const bool logistic = options.cost == RegressionCost::logistic;
    check(!logistic || options.reg > 0, caller, ": reg must be above 0 for the logistic cost; got ", options.reg);
    check(options.max_iterations > 0, caller, ": max_iterations must be positive; got ", options.max_iterations);
    check(options.tolerance > 0, caller, ": tolerance must be positive; got ", options.tolerance);
    for (std::int64_t e = 0; logistic && e < ratings.nnz(); ++e)
        check(ratings.values[e] >= 0 && ratings.values[e] <= 1, caller,
              ": values must lie in [0, 1] for the logistic cost; got ", ratings.values[e], " at entry ", e);
    for (std::int64_t e = 0; e < sample_weights.size; ++e)
        check(sample_weights[e] >= 0, caller, ": sample_weights must not be negative; got ", sample_weights[e],
              " at entry ", e);
}

// Takes the ratings of positive weight, and numbers the features: with sparse ones the problem has the columns that
// occur, as they come.
void take_ratings(const CsrView& ratings, VectorView<const float> sample_weights, const RegressionFeatures& features,
                  std::int64_t row, RegressionProblem& problem) {
    std::vector<std::int32_t>& items = problem.items;
    const std::int64_t begin = ratings.indptr[row], end = ratings.indptr[row + 1];
    items.clear();
    problem.y.clear();
    problem.w.clear();
    if (sample_weights.empty()) {
        items.assign(ratings.indices + begin, ratings.indices + end);
        problem.y.assign(ratings.values + begin, ratings.values + end);
        problem.w.assign(items.size(), 1.0);
    }
    for (std::int64_t e = begin; !sample_weights.empty() && e < end; ++e) {
        if (!(sample_weights[e] > 0)) continue;
        items.push_back(ratings.indices[e]);
        problem.y.push_back(static_cast<double>(ratings.values[e]));
        problem.w.push_back(static_cast<double>(sample_weights[e]));
    }
    problem.n = static_cast<std::int64_t>(items.size());
    problem.p = features.cols();
    if (!features.is_sparse) return;
    const CsrView& sparse = features.sparse;
    problem.place.resize(static_cast<std::size_t>(sparse.cols), -1);
    problem.columns.clear();
    for (const std::int32_t item : items)
        for (std::int64_t e = sparse.indptr[item]; e < sparse.indptr[item + 1]; ++e) {
            std::int32_t& column = problem.place[static_cast<std::size_t>(sparse.indices[e])];
            if (column >= 0) continue;
            column = static_cast<std::int32_t>(problem.columns.size());
            problem.columns.push_back(sparse.indices[e]);
        }
    problem.p = static_cast<std::int64_t>(problem.columns.size());
}

// Rows of sparse features, zeroed before; false where a sum of entries of the same place is not exact.
template <class T>
bool scatter(const CsrView& sparse, const RegressionProblem& problem, T* rows, std::int64_t stride) {
    bool exact = true;
    for (const std::int32_t item : problem.items) {
        for (std::int64_t e = sparse.indptr[item]; e < sparse.indptr[item + 1]; ++e) {
            T& place = rows[problem.place[static_cast<std::size_t>(sparse.indices[e])]];
            const double sum = static_cast<double>(place) + static_cast<double>(sparse.values[e]);
            place = static_cast<T>(sum);
            exact = exact && static_cast<double>(place) == sum;
        }
        rows += stride;
    }
    return exact;
}

// The features as floats, and their weighted sums while a block of rows is near.
bool gather_floats(const RegressionFeatures& features, RegressionProblem& problem) {
    constexpr std::int64_t kBlockRows = 64;
    problem.resize(true);
    const RegressionKernels& kernels = problem.kernels;
    bool exact = true;
    if (features.is_sparse) {
        std::fill_n(problem.rows, problem.n * problem.float_stride, 0.0f);
        exact = scatter(features.sparse, problem, problem.rows + problem.lead, problem.float_stride);
    }
    for (std::int64_t first = 0; first < problem.n; first += kBlockRows) {
        const std::int64_t count = std::min(kBlockRows, problem.n - first);
        float* block = problem.rows + first * problem.float_stride;
        if (!features.is_sparse)
            kernels.gather(features.dense.data, features.dense.stride, problem.items.data() + first, count,
                           problem.n - first, problem.p, block, problem.float_stride);
        kernels.add_centred_transposed(block, problem.float_stride, count, nullptr, problem.w.data() + first,
                                       problem.sums.data());
    }
    return exact;
}

void gather(const RegressionFeatures& features, RegressionProblem& problem) {
    problem.resize(false);
    if (features.is_sparse) {
        std::fill_n(problem.x, problem.n * problem.stride, 0.0);
        scatter(features.sparse, problem, problem.x, problem.stride);
        return;
    }
    problem.kernels.gather_wide(features.dense.data, features.dense.stride, problem.items.data(), problem.n, problem.p,
                                problem.x, problem.stride);
}

}  // namespace

RegressionReport regress_rows(const CsrView& ratings, VectorView<const float> sample_weights,
                              const RegressionFeatures& features, const RegressionOptions& options,
                              MatrixView<float> weights, VectorView<float> intercept) {
    check_arguments(ratings, sample_weights, features, options, weights, intercept);
    // Long rows first, so that no thread is left with one at the end.
    std::vector<std::int64_t> order(static_cast<std::size_t>(ratings.rows));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return ratings.row_size(a) > ratings.row_size(b); });

    const int n_threads = threads_for(ratings.nnz() * std::max<std::int64_t>(features.cols(), 1), options.n_threads);
    std::vector<RegressionProblem> problems(static_cast<std::size_t>(n_threads));
    std::atomic<int> iterations{0};
    std::atomic<std::int64_t> unconverged{0};
    parallel_chunks(ratings.rows, kRowsPerTask, n_threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        RegressionProblem& problem = problems[static_cast<std::size_t>(thread)];
        for (std::int64_t at = begin; at < end; ++at) {
            const std::int64_t u = order[static_cast<std::size_t>(at)];
            take_ratings(ratings, sample_weights, features, u, problem);
            RegressionOutcome outcome;
            if (!refines(problem, options) || !gather_floats(features, problem) ||
                !regress_refined(problem, options, outcome)) {
                gather(features, problem);
                outcome = regress(problem, options);
            }
            for (const std::int32_t column : problem.columns) problem.place[static_cast<std::size_t>(column)] = -1;
            float* out = weights.row(u);
            if (features.is_sparse) {
                std::fill_n(out, weights.cols, 0.0f);
                for (std::size_t j = 0; j < problem.columns.size(); ++j)
                    out[problem.columns[j]] = static_cast<float>(problem.theta[j]);
            } else {
                for (std::int64_t j = 0; j < weights.cols; ++j)
                    out[j] = static_cast<float>(problem.theta[static_cast<std::size_t>(j)]);
            }
            intercept[u] = static_cast<float>(outcome.intercept);
            int most = iterations.load();
            while (outcome.iterations > most && !iterations.compare_exchange_weak(most, outcome.iterations)) {
            }
            unconverged += outcome.converged ? 0 : 1;
        }
    });
    return {iterations.load(), unconverged.load()};
}

}  // namespace fastcf
