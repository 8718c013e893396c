#include "ops/choice_cost.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "math/penalty.h"

namespace fastcf {
namespace {

constexpr std::int64_t kChoices = 1024;  // of a task

template <class T>
T score(const SampledProblem<T>& problem, std::int32_t user, std::int32_t item) {
    const T* p = problem.user_factors.row(user);
    const T* q = problem.item_factors.row(item);
    T sum = problem.item_bias.empty() ? T(0) : problem.item_bias[item];
#pragma omp simd reduction(+ : sum)
    for (std::int64_t f = 0; f < problem.user_factors.cols; ++f) sum += p[f] * q[f];
    return sum;
}

// The cost of one choice; `slope` (1 + n_drawn) receives the derivatives by the scores.
template <class T>
T cost_of_one(const SampledProblem<T>& problem, std::int64_t e, T* slope, T* counted) {
    const auto n = static_cast<int>(problem.drawn.cols);
    const bool softmax = problem.cost == SampledCost::softmax;
    const std::int32_t* drawn = problem.drawn.row(e);
    const std::int32_t user = problem.users[e];
    slope[0] = score(problem, user, problem.items[e]);
    for (int m = 0; m < n; ++m) {
        slope[m + 1] = counted[m] = T(0);
        if (drawn[m] < 0) continue;
        slope[m + 1] = score(problem, user, drawn[m]) + (softmax ? problem.correction[drawn[m]] : T(0));
        counted[m] = softmax ? T(1) : problem.correction[drawn[m]];
    }
    const T weight = problem.weights[e];
    const T cost = sampled_loss<T>(problem.cost, n, slope, counted);
    for (int m = 0; m <= n; ++m) slope[m] *= weight;
    return weight * cost;
}

template <class T>
double total_cost(const SampledProblem<T>& problem, T* slopes, int n_threads) {
    const std::int64_t n = problem.users.size, width = problem.drawn.cols + 1;
    const std::int64_t n_tasks = (n + kChoices - 1) / kChoices;
    std::vector<double> costs(static_cast<std::size_t>(n_tasks));
    parallel_for(n_tasks, threads_for(n * width, n_threads), [&](std::int64_t task, int) {
        std::vector<T> own(static_cast<std::size_t>(2 * width));
        double cost = 0;
        for (std::int64_t e = task * kChoices; e < std::min(n, (task + 1) * kChoices); ++e)
            cost += static_cast<double>(
                cost_of_one(problem, e, slopes == nullptr ? own.data() : slopes + e * width, own.data() + width));
        costs[static_cast<std::size_t>(task)] = cost;
    });
    return std::accumulate(costs.begin(), costs.end(), 0.0);
}

// Returns the penalty of rows; adds its gradient where there is one to add to.
template <class T>
double penalise(const MatrixView<const T>& rows, const VectorView<const std::int32_t>& used, double reg,
                double exponent, const MatrixView<T>* gradient) {
    if (reg == 0) return 0.0;
    std::vector<std::int64_t> counts(static_cast<std::size_t>(rows.rows));
    for (std::int64_t e = 0; e < used.size; ++e) ++counts[static_cast<std::size_t>(used[e])];
    double total = 0;
    for (std::int64_t r = 0; r < rows.rows; ++r) {
        const auto weight = static_cast<T>(row_penalty(counts[static_cast<std::size_t>(r)], reg, exponent));
        for (std::int64_t f = 0; f < rows.cols; ++f) {
            const T value = rows.row(r)[f];
            total += 0.5 * static_cast<double>(weight * value * value);
            if (gradient != nullptr) gradient->row(r)[f] = penalised(gradient->row(r)[f], weight, value);
        }
    }
    return total;
}

template <class T>
double penalty_of(const SampledProblem<T>& problem, const SampledGradient<T>* to) {
    double total = penalise(problem.user_factors, problem.users, problem.reg, problem.reg_exponent,
                            to == nullptr ? nullptr : &to->user_factors);
    total += penalise(problem.item_factors, problem.items, problem.reg, problem.reg_exponent,
                      to == nullptr ? nullptr : &to->item_factors);
    if (problem.item_bias.empty()) return total;
    const MatrixView<const T> biases{problem.item_bias.data, problem.item_bias.size, 1, 1};
    const MatrixView<T> bias_gradient =
        to == nullptr ? MatrixView<T>{} : MatrixView<T>{to->item_bias.data, problem.item_bias.size, 1, 1};
    return total +
           penalise(biases, problem.items, problem.reg, problem.reg_exponent, to == nullptr ? nullptr : &bias_gradient);
}

}  // namespace

template <class T>
double choice_cost(const SampledProblem<T>& problem, int n_threads) {
    return total_cost<T>(problem, nullptr, n_threads) + penalty_of<T>(problem, nullptr);
}

template <class T>
double choice_cost_and_gradient(const SampledProblem<T>& problem, const SampledGradient<T>& gradient, int n_threads) {
    const std::int64_t n = problem.users.size, width = problem.drawn.cols + 1, k = problem.user_factors.cols;
    std::vector<T> slopes(static_cast<std::size_t>(n * width));
    const double cost = total_cost(problem, slopes.data(), n_threads);
    const auto clear = [&](const MatrixView<T>& rows) {
        for (std::int64_t r = 0; r < rows.rows; ++r) std::fill_n(rows.row(r), rows.cols, T(0));
    };
    clear(gradient.user_factors);
    clear(gradient.item_factors);
    std::fill_n(gradient.item_bias.data, gradient.item_bias.size, T(0));
    for (std::int64_t e = 0; e < n; ++e)
        for (std::int64_t m = 0; m < width; ++m) {
            const std::int32_t item = m == 0 ? problem.items[e] : problem.drawn.row(e)[m - 1];
            const T slope = slopes[static_cast<std::size_t>(e * width + m)];
            if (item < 0) continue;
            const T* p = problem.user_factors.row(problem.users[e]);
            const T* q = problem.item_factors.row(item);
            T* to_p = gradient.user_factors.row(problem.users[e]);
            T* to_q = gradient.item_factors.row(item);
            for (std::int64_t f = 0; f < k; ++f) {
                to_p[f] += slope * q[f];
                to_q[f] += slope * p[f];
            }
            if (!problem.item_bias.empty()) gradient.item_bias[item] += slope;
        }
    return cost + penalty_of(problem, &gradient);
}

template double choice_cost<float>(const SampledProblem<float>&, int);
template double choice_cost<double>(const SampledProblem<double>&, int);
template double choice_cost_and_gradient<float>(const SampledProblem<float>&, const SampledGradient<float>&, int);
template double choice_cost_and_gradient<double>(const SampledProblem<double>&, const SampledGradient<double>&, int);

}  // namespace fastcf
