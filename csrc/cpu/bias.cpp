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
// What one chunk of users adds up.
struct ChunkSums {
    std::vector<double> items;  // sum of w (y - b_u) per item
    double error = 0;           // sum of w e
    double squared_error = 0;   // sum of w e^2
    double n_weighted = 0;      // ratings whose weight is not zero
};

}  // namespace

BiasFit fit_biases(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                   const BiasOptions& options, VectorView<float> user_bias, VectorView<float> item_bias,
                   int n_threads) {
    check_biases(ratings, weights, item_offset, options, user_bias, item_bias);
    n_threads = threads_for(ratings.nnz(), n_threads);
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
    BiasTotals totals;
    totals.weight = std::accumulate(user_weight.begin(), user_weight.end(), 0.0);
    for (const ChunkSums& part : sums) {
        totals.n_weighted += part.n_weighted;
        totals.sum += part.error;
        totals.sum_squares += part.squared_error;
    }
    BiasFit fit = start_bias_fit(totals, options);
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
                user_bias[u] = bias_of(residual, w, fit.mean, fit.user_reg);
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
        for (std::int64_t i = 0; i < ratings.cols; ++i)
            item_bias[i] = bias_of(add_items(i), item_weight[static_cast<std::size_t>(i)], fit.mean, fit.item_reg);
    };
    const auto moments = [&](VectorView<float> bias, const std::vector<double>& row_weight, double reg) {
        BiasMoments result;
        for (std::int64_t r = 0; r < bias.size; ++r)
            add_to_moments(bias[r], row_weight[static_cast<std::size_t>(r)], reg, fit.noise_variance, &result);
        return result;
    };

    pass(false);
    for (fit.iterations = 1; fit.iterations <= options.max_iterations; ++fit.iterations) {
        update_items();
        pass(true);
        BiasErrors errors;
        for (const ChunkSums& part : sums) {
            errors.error += part.error;
            errors.squared_error += part.squared_error;
        }
        const BiasMoments users = moments(user_bias, user_weight, fit.user_reg);
        const BiasMoments items = moments(item_bias, item_weight, fit.item_reg);
        if (update_bias_fit(fit, totals, errors, users, items, options)) break;
    }
    fit.iterations = std::min(fit.iterations, options.max_iterations);
    return fit;
}

}  // namespace fastcf
