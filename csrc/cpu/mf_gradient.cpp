#include "ops/mf_gradient.h"

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "cpu/mf_gradient_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRatingsPerTask = 16384, kRowsPerTask = 4096;
constexpr std::int64_t kAhead = 64;  // ratings after a row's that kernels may look at, to prefetch

template <class T>
const MfRowKernels<T>& kernels() {
    const MfKernels& table = FASTCF_SELECT_ISA(mf_kernels);
    if constexpr (std::is_same_v<T, float>)
        return table.of_float;
    else
        return table.of_double;
}

// Where tasks begin: consecutive rows of about as many ratings.
std::vector<std::int64_t> task_bounds(const std::int64_t* indptr, std::int64_t rows,
                                      std::int64_t ratings_per_task = kRatingsPerTask) {
    std::vector<std::int64_t> bounds{0};
    for (std::int64_t row = 0; row < rows; ++row)
        if (indptr[row + 1] - indptr[bounds.back()] >= ratings_per_task || row + 1 - bounds.back() >= kRowsPerTask)
            bounds.push_back(row + 1);
    if (bounds.back() < rows) bounds.push_back(rows);
    return bounds;
}

// Calls body(task, row) for every row, rows of a task in order.
template <class Body>
std::int64_t for_each_row(const std::vector<std::int64_t>& bounds, int n_threads, Body&& body) {
    const auto n_tasks = static_cast<std::int64_t>(bounds.size()) - 1;
    parallel_for(n_tasks, n_threads, [&](std::int64_t task, int) {
        const auto t = static_cast<std::size_t>(task);
        for (std::int64_t row = bounds[t]; row < bounds[t + 1]; ++row) body(t, row);
    });
    return n_tasks;
}

template <class T>
T at_or_zero(const T* values, std::int64_t i) {
    return values == nullptr ? T(0) : values[i];
}

template <class T>
MfRow<T> user_row(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at,
                  std::int64_t nnz, std::int64_t u) {
    const std::int64_t begin = ratings.indptr[u], n = ratings.indptr[u + 1] - begin;
    return {at.item_factors,
            at.stride,
            at.k,
            ratings.items + begin,
            n,
            std::min(n + kAhead, nnz - begin),
            at.user_factors + u * at.stride,
            at_or_zero(at.user_bias, u),
            at.item_bias,
            objective.item_offset,
            objective.global_offset,
            objective.loss == Loss::logistic};
}

// One side's gradient begins as its penalty's; returns the penalty of the row.
template <class T>
double start_row(const T* reg, const T* bias_reg, const T* factors, const T* bias, std::int64_t k, std::int64_t r,
                 T* gradient, T* bias_gradient) {
    const T bias_lambda = at_or_zero(bias_reg, r), b = at_or_zero(bias, r);
    *bias_gradient = bias_lambda * b;
    return 0.5 * (kernels<T>().start(at_or_zero(reg, r), factors, k, gradient) +
                  static_cast<double>(bias_lambda) * static_cast<double>(b) * static_cast<double>(b));
}

int threads_of(std::int64_t nnz, std::int64_t rows, std::int64_t k, int n_threads) {
    return threads_for((nnz + rows) * (k / 8 + 1), n_threads);
}

}  // namespace

template <class T>
void mf_gradient(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at,
                 const MfParameters<T>& gradient, T* errors, double* cost, int n_threads) {
    const std::int64_t nnz = ratings.nnz();
    const MfRowKernels<T>& run = kernels<T>();
    const int threads = threads_of(nnz, ratings.n_users + ratings.n_items, at.k, n_threads);
    MfCost sum;
    const auto add = [&](const std::vector<MfCost>& parts) {
        for (const MfCost& part : parts) {
            sum.loss += part.loss;
            sum.penalty += part.penalty;
        }
    };

    const std::vector<std::int64_t> user_bounds = task_bounds(ratings.indptr, ratings.n_users);
    std::vector<MfCost> parts(user_bounds.size());
    for_each_row(user_bounds, threads, [&](std::size_t task, std::int64_t u) {
        const MfRow<T> row = user_row(ratings, objective, at, nnz, u);
        T* own = gradient.user_factors + u * gradient.stride;
        const std::int64_t begin = ratings.indptr[u];
        T bias;
        parts[task].penalty +=
            start_row(objective.user_reg, objective.user_bias_reg, row.own, at.user_bias, at.k, u, own, &bias);
        parts[task].loss +=
            run.forward(row, ratings.values + begin, ratings.weights == nullptr ? nullptr : ratings.weights + begin,
                        errors + begin, own, &bias);
        if (gradient.user_bias != nullptr) gradient.user_bias[u] = bias;
    });
    add(parts);

    const std::vector<std::int64_t> item_bounds = task_bounds(ratings.item_indptr, ratings.n_items);
    parts.assign(item_bounds.size(), {});
    for_each_row(item_bounds, threads, [&](std::size_t task, std::int64_t i) {
        const std::int64_t begin = ratings.item_indptr[i], n = ratings.item_indptr[i + 1] - begin;
        MfRow<T> row{};
        row.rows = at.user_factors;
        row.stride = at.stride;
        row.k = at.k;
        row.indices = ratings.users + begin;
        row.n = n;
        row.readable = std::min(n + kAhead, nnz - begin);
        row.own = at.item_factors + i * at.stride;
        T* own = gradient.item_factors + i * gradient.stride;
        T bias;
        parts[task].penalty +=
            start_row(objective.item_reg, objective.item_bias_reg, row.own, at.item_bias, at.k, i, own, &bias);
        run.backward(row, errors, ratings.item_entries + begin, own, &bias);
        if (gradient.item_bias != nullptr) gradient.item_bias[i] = bias;
    });
    add(parts);
    cost[0] = sum.loss;
    cost[1] = sum.penalty;
}

template <class T>
void mf_predict(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at, T* out,
                int n_threads) {
    const std::int64_t nnz = ratings.nnz();
    // Nothing is summed across tasks: they may be small, for batches of a network, one call soon after the other.
    constexpr std::int64_t kFactorsPerTask = 1 << 17;
    const std::int64_t per_task = std::clamp<std::int64_t>(kFactorsPerTask / (at.k + 1), 64, kRatingsPerTask);
    for_each_row(task_bounds(ratings.indptr, ratings.n_users, per_task),
                 threads_of(4 * nnz, ratings.n_users, at.k, n_threads), [&](std::size_t, std::int64_t u) {
                     kernels<T>().predict(user_row(ratings, objective, at, nnz, u), out + ratings.indptr[u]);
                 });
}

FASTCF_INSTANTIATE_MF_GRADIENT(float)
FASTCF_INSTANTIATE_MF_GRADIENT(double)

}  // namespace fastcf
