#include <cmath>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/bias.h"
#include "ops/bias.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kWarps = kThreads / kWarp;
constexpr std::int64_t kMostBlocks = 4096;  // of a pass, which leave a sum each

// Sums over items are made of whole multiples of a power of two, in any order: the unit of 64 bits wraps around as
// signed numbers do, and additions of it are exact.
using Unit = unsigned long long;

FASTCF_DEVICE Unit to_units(double value, double scale) {
    return static_cast<Unit>(static_cast<long long>(rint(value * scale)));
}
FASTCF_DEVICE double from_units(Unit units, double scale) {
    return static_cast<double>(static_cast<long long>(units)) / scale;
}

struct Ratings {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> items;
    Global<const float> values, weights, item_offset;
    std::int64_t rows;
};

FASTCF_DEVICE double target_of(const Ratings& ratings, std::int64_t e, std::int32_t item) {
    const double value = static_cast<double>(ratings.values[e]);
    if (ratings.item_offset == nullptr) return value;
    const float offset = ratings.item_offset[item];
    return value - static_cast<double>(offset);
}
FASTCF_DEVICE double weight_of(const Ratings& ratings, std::int64_t e) {
    if (ratings.weights == nullptr) return 1.0;
    const float weight = ratings.weights[e];
    return static_cast<double>(weight);
}

// One of a block's sums for the s-th of the arrays that sum_kernel adds up.
FASTCF_DEVICE void leave_sum(Global<double> sums, int s, double value, Shared<double> scratch) {
    value = block_sum(value, scratch);
    if (threadIdx.x == 0) sums[s * static_cast<std::int64_t>(gridDim.x) + blockIdx.x] = value;
}

// What does not change: users' weights, and four sums over ratings; the fifth is the greatest size of a target. 8 bytes
// per rating, once a fit. 256 threads, a warp per user at a time. Deterministic.
FASTCF_KERNEL(kThreads)
void start_kernel(Ratings ratings, Global<double> user_weight, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    double n_weighted = 0.0, sum = 0.0, sum_squares = 0.0, total = 0.0, most = 0.0;
    for (std::int64_t u = global_warp(); u < ratings.rows; u += global_threads() / kWarp) {
        const std::int64_t begin = ratings.indptr[u], end = ratings.indptr[u + 1];
        double row_weight = 0.0;
        FASTCF_UNROLL_BY(2)
        for (std::int64_t e = begin + lane_index(); e < end; e += kWarp) {
            const std::int32_t item = ratings.items[e];
            const double w = weight_of(ratings, e), y = target_of(ratings, e, item), size = y < 0.0 ? -y : y;
            row_weight += w;
            n_weighted += w > 0.0 ? 1.0 : 0.0;
            sum += w * y;
            sum_squares += w * y * y;
            most = size > most ? size : most;
        }
        row_weight = warp_sum(row_weight);
        if (lane_index() != 0) continue;
        user_weight[u] = row_weight;
        total += row_weight;
    }
    leave_sum(sums, 0, total, scratch);
    leave_sum(sums, 1, n_weighted, scratch);
    leave_sum(sums, 2, sum, scratch);
    leave_sum(sums, 3, sum_squares, scratch);
    most = block_max(most, scratch);
    if (threadIdx.x == 0) sums[4 * static_cast<std::int64_t>(gridDim.x) + blockIdx.x] = most;
}

struct Pass {
    Ratings ratings;
    Global<const double> user_weight;
    Global<float> user_bias;
    Global<const float> item_bias;
    Global<Unit> item_sums, item_weights;  // the weights in the first pass only, else null
    double sum_scale, weight_scale, mean, user_reg, noise_variance;
};

// Users' biases, but for the first pass; then what is left of every rating, added up by item. 8 bytes per rating from
// memory, on an H200 at most 600 G ratings/s; and an addition in L2, where all items are, which is the bound, the more
// so where a few items have most ratings. 256 threads, a warp per user at a time. Deterministic.
FASTCF_KERNEL(kThreads)
void pass_kernel(Pass pass, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    const Ratings& ratings = pass.ratings;
    const bool first = pass.item_weights != nullptr;
    double error_sum = 0.0, squared_error = 0.0;
    BiasMoments moments;
    for (std::int64_t u = global_warp(); u < ratings.rows; u += global_threads() / kWarp) {
        const std::int64_t begin = ratings.indptr[u], end = ratings.indptr[u + 1];
        float bias = 0.0f;
        if (!first) {
            double residual = 0.0;
            for (std::int64_t e = begin + lane_index(); e < end; e += kWarp) {
                const std::int32_t item = ratings.items[e];
                const float item_bias = pass.item_bias[item];
                residual += weight_of(ratings, e) * (target_of(ratings, e, item) - static_cast<double>(item_bias));
            }
            const double row_weight = pass.user_weight[u];
            bias = bias_of(warp_sum(residual), row_weight, pass.mean, pass.user_reg);
            if (lane_index() == 0) {
                pass.user_bias[u] = bias;
                add_to_moments(bias, row_weight, pass.user_reg, pass.noise_variance, &moments);
            }
        }
        for (std::int64_t e = begin + lane_index(); e < end; e += kWarp) {
            const std::int32_t item = ratings.items[e];
            const double w = weight_of(ratings, e), y = target_of(ratings, e, item) - static_cast<double>(bias);
            atomic_add(pass.item_sums + item, to_units(w * y, pass.sum_scale));
            if (first) {
                atomic_add(pass.item_weights + item, to_units(w, pass.weight_scale));
                continue;
            }
            const float item_bias = pass.item_bias[item];
            const double error = y - static_cast<double>(item_bias) - pass.mean;
            error_sum += w * error;
            squared_error += w * error * error;
        }
    }
    leave_sum(sums, 0, error_sum, scratch);
    leave_sum(sums, 1, squared_error, scratch);
    leave_sum(sums, 2, moments.squares, scratch);
    leave_sum(sums, 3, moments.excess, scratch);
    leave_sum(sums, 4, moments.rows, scratch);
}

// Items' biases from their sums, which begin anew. 36 bytes per item, small beside a pass. 256 threads. Deterministic.
FASTCF_KERNEL(kThreads)
void item_kernel(Pass pass, Global<const Unit> item_weights, std::int64_t items, double item_reg,
                 Global<float> item_bias, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    BiasMoments moments;
    const std::int64_t i = global_thread();
    if (i < items) {
        const Unit sum = pass.item_sums[i], units = item_weights[i];
        const double weight = from_units(units, pass.weight_scale);
        const float bias = bias_of(from_units(sum, pass.sum_scale), weight, pass.mean, item_reg);
        item_bias[i] = bias;
        pass.item_sums[i] = 0;
        add_to_moments(bias, weight, item_reg, pass.noise_variance, &moments);
    }
    leave_sum(sums, 0, moments.squares, scratch);
    leave_sum(sums, 1, moments.excess, scratch);
    leave_sum(sums, 2, moments.rows, scratch);
}

// Adds up arrays of n values, a block each, or finds the greatest of the one numbered `greatest`. Latency-bound and
// short beside the pass it closes. 256 threads. Deterministic.
FASTCF_KERNEL(kThreads)
void sum_kernel(Global<const double> values, std::int64_t n, int greatest, Global<double> totals) {
    FASTCF_SHARED(double, scratch, kWarp);
    const Global<const double> own = values + blockIdx.x * n;
    double sum = 0.0, most = 0.0;
    for (std::int64_t e = threadIdx.x; e < n; e += kThreads) {
        const double value = own[e];
        sum += value;
        most = value > most ? value : most;
    }
    sum = block_sum(sum, scratch);
    most = block_max(most, scratch);
    if (threadIdx.x == 0) totals[blockIdx.x] = static_cast<int>(blockIdx.x) == greatest ? most : sum;
}

// The power of two by which sums of up to `most` become whole numbers of 62 bits.
double scale_for(double most) {
    return most > 0 && std::isfinite(most) ? std::exp2(61.0 - std::ceil(std::log2(most))) : 1.0;
}

constexpr int kPassSums = 5, kItemSums = 3;

}  // namespace

BiasFit fit_biases(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                   const BiasOptions& options, VectorView<float> user_bias, VectorView<float> item_bias, int) {
    check_biases(ratings, weights, item_offset, options, user_bias, item_bias);
    const std::int64_t n = ratings.nnz(), users = ratings.rows, items = ratings.cols;
    const In<std::int64_t> indptr(ratings.indptr, users + 1);
    const In<std::int32_t> indices(ratings.indices, n);
    const In<float> values(ratings.values, n), staged_weights(weights), offsets(item_offset);
    const Out<float> user_out(user_bias), item_out(item_bias);

    const std::int64_t blocks = std::min(blocks_for(users, kWarps), kMostBlocks);
    const std::int64_t item_blocks = blocks_for(items, kThreads);
    DeviceArray<double> user_weight(users), partial(kPassSums * blocks), item_partial(kItemSums * item_blocks);
    DeviceArray<double> totals(kPassSums + kItemSums);
    DeviceArray<Unit> item_sums = DeviceArray<Unit>::zeros(items), item_weights = DeviceArray<Unit>::zeros(items);

    Pass pass{};
    pass.ratings = {indptr.data(), indices.data(), values.data(), staged_weights.data(), offsets.data(), users};
    FASTCF_LAUNCH(start_kernel, blocks, kThreads, 0, pass.ratings, user_weight.data(), partial.data());
    FASTCF_LAUNCH(sum_kernel, kPassSums, kThreads, 0, partial.data(), blocks, 4, totals.data());
    std::vector<double> sums = totals.to_host();
    const BiasTotals known{sums[0], sums[1], sums[2], sums[3]};
    BiasFit fit = start_bias_fit(known, options);

    // A bias is smaller than a few times the greatest target: 64 leaves room for all of them.
    pass.weight_scale = scale_for(known.weight);
    pass.sum_scale = scale_for(64.0 * known.weight * sums[4]);
    pass.user_weight = user_weight.data();
    pass.user_bias = user_out.data();
    pass.item_bias = item_out.data();
    pass.item_sums = item_sums.data();
    pass.item_weights = item_weights.data();
    FASTCF_LAUNCH(pass_kernel, blocks, kThreads, 0, pass, partial.data());
    pass.item_weights = nullptr;
    for (fit.iterations = 1; fit.iterations <= options.max_iterations; ++fit.iterations) {
        if (interrupt_pending()) throw Interrupted();
        pass.mean = fit.mean;
        pass.user_reg = fit.user_reg;
        pass.noise_variance = fit.noise_variance;
        FASTCF_LAUNCH(item_kernel, item_blocks, kThreads, 0, pass, item_weights.data(), items, fit.item_reg,
                      item_out.data(), item_partial.data());
        FASTCF_LAUNCH(pass_kernel, blocks, kThreads, 0, pass, partial.data());
        FASTCF_LAUNCH(sum_kernel, kPassSums, kThreads, 0, partial.data(), blocks, -1, totals.data());
        FASTCF_LAUNCH(sum_kernel, kItemSums, kThreads, 0, item_partial.data(), item_blocks, -1,
                      totals.data() + kPassSums);
        sums = totals.to_host();
        if (update_bias_fit(fit, known, {sums[0], sums[1]}, {sums[2], sums[3], sums[4]}, {sums[5], sums[6], sums[7]},
                            options))
            break;
    }
    fit.iterations = std::min(fit.iterations, options.max_iterations);
    user_out.finish();
    item_out.finish();
    return fit;
}

}  // namespace fastcf
