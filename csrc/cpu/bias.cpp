#include "ops/bias.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "core/parallel.h"

namespace fastcf {
namespace {

constexpr std::int64_t kChunks = 16;  // partial item sums: fixed, so that results do not depend on the threads
constexpr double kSmallestVariance = 1e-12;

// What one chunk of users adds up.
struct ChunkSums {
    std::vector<double> items;  // sum of w (y - b_u) per item
    double error = 0;           // sum of w e
    double squared_error = 0;   // sum of w e^2
    double n_weighted = 0;      // ratings whose weight is not zero
};

double relative_change(double from, double to) {
    return std::abs(to - from) / std::max({std::abs(from), std::abs(to), 1e-9});
}

}  // namespace

BiasFit fit_biases(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                   const BiasOptions& options, VectorView<float> user_bias, VectorView<float> item_bias,
                   int n_threads) {
    const char* caller = "fit_biases";
    const std::int64_t n = ratings.nnz();
    check(n > 0 && ratings.values != nullptr, caller, ": ratings must not be empty");
    check(weights.empty() || weights.size == n, caller, ": weights must have ", n, " entries; got ", weights.size);
    check(item_offset.empty() || item_offset.size == ratings.cols, caller, ": item_offset must have ", ratings.cols,
          " entries; got ", item_offset.size);
    check(user_bias.size == ratings.rows && item_bias.size == ratings.cols, caller,
          ": user_bias and item_bias must have ", ratings.rows, " and ", ratings.cols, " entries; got ", user_bias.size,
          " and ", item_bias.size);
    check(options.max_iterations > 0, caller, ": max_iterations must be positive; got ", options.max_iterations);

    n_threads = threads_for(n, n_threads);
    const auto target = [&](std::int64_t e) {
        const double offset = item_offset.empty() ? 0.0 : static_cast<double>(item_offset[ratings.indices[e]]);
        return static_cast<double>(ratings.values[e]) - offset;
    };
    const auto weight = [&](std::int64_t e) { return weights.empty() ? 1.0 : static_cast<double>(weights[e]); };

    const std::int64_t n_chunks = std::min(kChunks, ratings.rows);
    std::vector<ChunkSums> sums(static_cast<std::size_t>(n_chunks));
    const auto for_each_chunk = [&](auto&& body) {
        parallel_for(n_chunks, n_threads, [&](std::int64_t chunk, int) {
            ChunkSums& part = sums[static_cast<std::size_t>(chunk)];
            part = {std::move(part.items)};
            part.items.assign(static_cast<std::size_t>(ratings.cols), 0.0);
            for (std::int64_t u = ratings.rows * chunk / n_chunks; u < ratings.rows * (chunk + 1) / n_chunks; ++u)
                body(part, u);
        });
    };
    const auto add_items = [&](std::int64_t i) {
        double total = 0;
        for (const ChunkSums& part : sums) total += part.items[static_cast<std::size_t>(i)];
        return total;
    };

    std::vector<double> user_weight(static_cast<std::size_t>(ratings.rows));
    for_each_chunk([&](ChunkSums& part, std::int64_t u) {
        double row_weight = 0;
        for (std::int64_t e = ratings.indptr[u]; e < ratings.indptr[u + 1]; ++e) {
            const double w = weight(e);
            const double y = target(e);
            row_weight += w;
            part.items[static_cast<std::size_t>(ratings.indices[e])] += w;
            part.n_weighted += w > 0;
            part.error += w * y;
            part.squared_error += w * y * y;
        }
        user_weight[static_cast<std::size_t>(u)] = row_weight;
    });
    std::vector<double> item_weight(static_cast<std::size_t>(ratings.cols));
    for (std::int64_t i = 0; i < ratings.cols; ++i) item_weight[static_cast<std::size_t>(i)] = add_items(i);
    const double total_weight = std::accumulate(user_weight.begin(), user_weight.end(), 0.0);
    double n_weighted = 0;  // ratings whose weight is not zero
    double sum = 0;
    double sum_squares = 0;
    for (const ChunkSums& part : sums) {
        n_weighted += part.n_weighted;
        sum += part.error;
        sum_squares += part.squared_error;
    }
    check(total_weight > 0, caller, ": weights must not all be zero");

    BiasFit fit;
    fit.mean = sum / total_weight;
    fit.noise_variance = std::max((sum_squares - fit.mean * fit.mean * total_weight) / n_weighted, kSmallestVariance);
    const double start = 4.0 * total_weight / n_weighted;  // tau = sigma / 2: any start in the range does
    fit.user_reg = options.user_reg >= 0 ? options.user_reg : start;
    fit.item_reg = options.item_reg >= 0 ? options.item_reg : start;
    std::fill_n(user_bias.data, user_bias.size, 0.0f);
    std::fill_n(item_bias.data, item_bias.size, 0.0f);

    const auto pass = [&](bool update_users) {
        for_each_chunk([&](ChunkSums& part, std::int64_t u) {
            const std::int64_t begin = ratings.indptr[u];
            const std::int64_t end = ratings.indptr[u + 1];
            if (update_users) {
                double residual = 0;
                for (std::int64_t e = begin; e < end; ++e)
                    residual += weight(e) * (target(e) - static_cast<double>(item_bias[ratings.indices[e]]));
                const double w = user_weight[static_cast<std::size_t>(u)];
                const double denominator = w + fit.user_reg;
                user_bias[u] = denominator > 0 ? static_cast<float>((residual - fit.mean * w) / denominator) : 0.0f;
            }
            const double bias = static_cast<double>(user_bias[u]);
            for (std::int64_t e = begin; e < end; ++e) {
                const std::int32_t i = ratings.indices[e];
                const double w = weight(e);
                const double y = target(e) - bias;
                const double error = y - static_cast<double>(item_bias[i]) - fit.mean;
                part.items[static_cast<std::size_t>(i)] += w * y;
                part.error += w * error;
                part.squared_error += w * error * error;
            }
        });
    };
    const auto update_items = [&] {
        for (std::int64_t i = 0; i < ratings.cols; ++i) {
            const double w = item_weight[static_cast<std::size_t>(i)];
            const double denominator = w + fit.item_reg;
            item_bias[i] = denominator > 0 ? static_cast<float>((add_items(i) - fit.mean * w) / denominator) : 0.0f;
        }
    };
    // The second moment of rated rows' biases, and what their posterior variances add to the squared error.
    struct Moments {
        double variance;
        double excess;
    };
    const auto moments = [&](VectorView<float> bias, const std::vector<double>& row_weight, double reg) {
        double squares = 0;
        double excess = 0;
        std::int64_t rows = 0;
        for (std::int64_t r = 0; r < bias.size; ++r) {
            const double w = row_weight[static_cast<std::size_t>(r)];
            if (w <= 0) continue;
            const double variance = fit.noise_variance / (w + reg);
            squares += static_cast<double>(bias[r]) * static_cast<double>(bias[r]) + variance;
            excess += w * variance;
            ++rows;
        }
        return Moments{squares / static_cast<double>(std::max<std::int64_t>(rows, 1)), excess};
    };

    pass(false);
    for (fit.iterations = 1; fit.iterations <= options.max_iterations; ++fit.iterations) {
        const BiasFit before = fit;
        update_items();
        pass(true);
        double error = 0;
        double squared_error = 0;
        for (const ChunkSums& part : sums) {
            error += part.error;
            squared_error += part.squared_error;
        }
        const Moments users = moments(user_bias, user_weight, fit.user_reg);
        const Moments items = moments(item_bias, item_weight, fit.item_reg);
        fit.noise_variance = std::max((squared_error + users.excess + items.excess) / n_weighted, kSmallestVariance);
        if (options.user_reg < 0) fit.user_reg = fit.noise_variance / std::max(users.variance, kSmallestVariance);
        if (options.item_reg < 0) fit.item_reg = fit.noise_variance / std::max(items.variance, kSmallestVariance);
        fit.mean += error / total_weight;
        const double change =
            std::max({std::abs(fit.mean - before.mean) / std::sqrt(fit.noise_variance * n_weighted / total_weight),
                      relative_change(before.noise_variance, fit.noise_variance),
                      relative_change(before.user_reg, fit.user_reg), relative_change(before.item_reg, fit.item_reg)});
        if (change < options.tolerance) break;
    }
    fit.iterations = std::min(fit.iterations, options.max_iterations);
    return fit;
}

}  // namespace fastcf
