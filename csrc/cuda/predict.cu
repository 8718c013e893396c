#include <algorithm>

#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "math/loss.h"
#include "math/mf.h"
#include "ops/gemm.h"
#include "ops/predict.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kPairLanes = 8;  // threads that share a pair
constexpr std::int64_t kPairsPerBlock = 1024;

struct Model {
    Global<const float> user_factors, item_factors, user_bias, item_bias, item_offset;
    std::int64_t k, user_stride, item_stride;
    float global_offset;
    bool by_four;  // rows may be read four factors at a time
};

struct StagedModel {
    explicit StagedModel(const FactorModel& model)
        : user_factors(model.user_factors),
          item_factors(model.item_factors),
          user_bias(model.user_bias),
          item_bias(model.item_bias),
          item_offset(model.item_offset),
          parts{user_factors.data(),       item_factors.data(),
                user_bias.data(),          item_bias.data(),
                item_offset.data(),        model.user_factors.cols,
                model.user_factors.stride, model.item_factors.stride,
                model.global_offset,       false} {
        parts.by_four = in_chunks(user_factors.data(), parts.k, parts.user_stride) &&
                        in_chunks(item_factors.data(), parts.k, parts.item_stride);
    }
    In<float> user_factors, item_factors, user_bias, item_bias, item_offset;
    Model parts;
};

FASTCF_DEVICE float bias_at(Global<const float> bias, std::int32_t row) {
    return row < 0 || bias == nullptr ? 0.0f : bias[row];
}

FASTCF_DEVICE float offset_at(const Model& model, std::int32_t item) {
    return item < 0 || model.item_offset == nullptr ? model.global_offset : model.item_offset[item];
}

// The inner product of two rows by kPairLanes neighbouring lanes, in all of them; rows of -1 are zeros. All lanes of
// the warp must call it.
FASTCF_DEVICE float pair_product(const Model& model, std::int32_t user, std::int32_t item) {
    const int part = lane_index() % kPairLanes;
    float sum = 0.0f;
    if (user >= 0 && item >= 0) {
        const Global<const float> p = model.user_factors + user * model.user_stride;
        const Global<const float> q = model.item_factors + item * model.item_stride;
        if (model.by_four) {
            for (std::int64_t f = part * 4; f < model.k; f += kPairLanes * 4) {
                const float4 a = load4(p + f), b = load4(q + f);
                sum += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
            }
        } else {
            for (std::int64_t f = part; f < model.k; f += kPairLanes) sum += p[f] * q[f];
        }
    }
    for (int mask = kPairLanes / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    return sum;
}

// 8 k + 12 bytes and 2 k flops per pair: bound by fetching rows, on an H200 at most 9 G pairs/s at k = 64 from memory,
// more where rows repeat. 256 threads, eight to a pair. Deterministic.
FASTCF_KERNEL(kThreads)
void predict_pairs_kernel(Model model, Global<const std::int32_t> users, Global<const std::int32_t> items,
                          std::int64_t n, Global<float> out) {
    const std::int64_t e = global_thread() / kPairLanes;
    const std::int32_t user = e < n ? users[e] : -1, item = e < n ? items[e] : -1;
    const float product = pair_product(model, user, item);
    if (e < n && lane_index() % kPairLanes == 0)
        out[e] = mf_prediction(offset_at(model, item), bias_at(model.user_bias, user), bias_at(model.item_bias, item),
                               product);
}

struct Pairs {
    Global<const std::int64_t> indptr;  // of CSR entries, or null: `users` says
    Global<const std::int32_t> users, items;
    Global<const float> values, weights;
    std::int64_t rows, n;
};

FASTCF_DEVICE std::int32_t user_of(const Pairs& pairs, std::int64_t e) {
    return pairs.indptr == nullptr ? pairs.users[e] : row_of(pairs.indptr, pairs.rows, e);
}

// What a block adds up: two sums per block of kPairsPerBlock pairs.
struct SquaredAndAbsolute {
    float low, high;
    FASTCF_DEVICE void add(float z, float value, double weight, double* first, double* second) const {
        z = z < low ? low : z > high ? high : z;
        const double error = static_cast<double>(z) - static_cast<double>(value);
        *first += weight * error * error;
        *second += weight * (error < 0.0 ? -error : error);
    }
};
struct LogLoss {
    FASTCF_DEVICE void add(float z, float value, double weight, double* first, double*) const {
        double slope;
        *first += weight * logistic_loss(static_cast<double>(z), static_cast<double>(value), &slope);
    }
};

// 8 k + 16 bytes and 2 k flops per pair, as above, and for CSR entries a search in indptr that stays in cache. 256
// threads, 256 bytes of shared memory. Deterministic: sums are float64 in a fixed order.
template <class Sum>
FASTCF_KERNEL(kThreads)
void evaluate_kernel(Model model, Pairs pairs, Sum sum, Global<double> first_sums, Global<double> second_sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    double first_sum = 0.0, second_sum = 0.0;
    const std::int64_t begin = blockIdx.x * kPairsPerBlock;
    const std::int64_t end = begin + kPairsPerBlock < pairs.n ? begin + kPairsPerBlock : pairs.n;
    for (std::int64_t first = begin; first < end; first += kThreads / kPairLanes) {
        const std::int64_t e = first + threadIdx.x / kPairLanes;
        const std::int32_t user = e < end ? user_of(pairs, e) : -1, item = e < end ? pairs.items[e] : -1;
        const float product = pair_product(model, user, item);
        if (e < end && lane_index() % kPairLanes == 0) {
            const float z = mf_prediction(offset_at(model, item), bias_at(model.user_bias, user),
                                          bias_at(model.item_bias, item), product);
            const double weight = pairs.weights == nullptr ? 1.0 : static_cast<double>(pairs.weights[e]);
            sum.add(z, pairs.values[e], weight, &first_sum, &second_sum);
        }
    }
    first_sum = block_sum(first_sum, scratch);
    second_sum = block_sum(second_sum, scratch);
    if (threadIdx.x == 0) {
        first_sums[blockIdx.x] = first_sum;
        second_sums[blockIdx.x] = second_sum;
    }
}

// 8 bytes per factor: bound by memory, on an H200 at most 600 G factors/s. 256 threads. Deterministic.
FASTCF_KERNEL(kThreads)
void take_users_kernel(Model model, Global<const std::int32_t> users, std::int64_t m, Global<float> out) {
    const std::int64_t e = global_thread();
    if (e >= m * model.k) return;
    const std::int32_t user = users[e / model.k];
    out[e] = user < 0 ? 0.0f : model.user_factors[user * model.user_stride + e % model.k];
}

// Turns inner products into predictions: 8 bytes each, bound by memory, on an H200 at most 600 G/s. 256 threads.
// Deterministic.
FASTCF_KERNEL(kThreads)
void add_biases_kernel(Model model, Global<const std::int32_t> users, std::int64_t n, std::int64_t n_items,
                       Global<float> out) {
    const std::int64_t e = global_thread();
    if (e >= n) return;
    const std::int32_t user = users[e / n_items];
    const auto item = static_cast<std::int32_t>(e % n_items);
    const float product = out[e];
    out[e] =
        mf_prediction(offset_at(model, item), bias_at(model.user_bias, user), bias_at(model.item_bias, item), product);
}

void check_host_rows(VectorView<const std::int32_t> rows, std::int64_t limit, const char* caller, const char* name) {
    if (!device_only(rows.data)) check_rows(rows.data, 0, rows.size, limit, caller, name);
}

// The two sums of `sum` over all pairs.
template <class Sum>
ErrorSums evaluate(const FactorModel& model, const Pairs& pairs, const Sum& sum) {
    const std::int64_t blocks = blocks_for(pairs.n, kPairsPerBlock);
    const StagedModel staged(model);
    DeviceArray<double> first(blocks), second(blocks);
    FASTCF_LAUNCH(evaluate_kernel<Sum>, blocks, kThreads, 0, staged.parts, pairs, sum, first.data(), second.data());
    ErrorSums total;
    for (const double part : first.to_host()) total.squared += part;
    for (const double part : second.to_host()) total.absolute += part;
    total.count = pairs.n;
    return total;
}

template <class Sum>
ErrorSums evaluate_weighted_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                                  VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                                  VectorView<const float> weights, const Sum& sum, const char* caller) {
    check_weighted_pairs(model, user_rows, item_rows, values, weights, caller);
    check_host_rows(user_rows, model.user_factors.rows, caller, "user_rows");
    check_host_rows(item_rows, model.item_factors.rows, caller, "item_rows");
    const In<std::int32_t> users(user_rows), items(item_rows);
    const In<float> staged_values(values), staged_weights(weights);
    return evaluate(
        model, {nullptr, users.data(), items.data(), staged_values.data(), staged_weights.data(), 0, values.size}, sum);
}

}  // namespace

void predict_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                   VectorView<const std::int32_t> item_rows, VectorView<float> out, int) {
    const char* caller = "predict_pairs";
    check_pairs(model, user_rows, item_rows, out.size, caller);
    check_host_rows(user_rows, model.user_factors.rows, caller, "user_rows");
    check_host_rows(item_rows, model.item_factors.rows, caller, "item_rows");
    const StagedModel staged(model);
    const In<std::int32_t> users(user_rows), items(item_rows);
    const Out<float> predictions(out);
    FASTCF_LAUNCH(predict_pairs_kernel, blocks_for(out.size, kThreads / kPairLanes), kThreads, 0, staged.parts,
                  users.data(), items.data(), out.size, predictions.data());
    predictions.finish();
}

void predict_block(const FactorModel& model, VectorView<const std::int32_t> user_rows, MatrixView<float> out, int) {
    const char* caller = "predict_block";
    check_block(model, user_rows, out, caller);
    check_host_rows(user_rows, model.user_factors.rows, caller, "user_rows");
    if (user_rows.size == 0 || model.item_factors.rows == 0) return;
    const StagedModel staged(model);
    const In<std::int32_t> users(user_rows);
    const Out<float> predictions(out.data, out.rows * out.cols);
    const Model& parts = staged.parts;
    const std::int64_t m = user_rows.size, k = parts.k, n = m * out.cols;
    DeviceArray<float> rows(m * k);
    FASTCF_LAUNCH(take_users_kernel, blocks_for(m * k, kThreads), kThreads, 0, parts, users.data(), m, rows.data());
    gemm<float>(false, true, 1.0f, {rows.data(), m, k, k}, {staged.item_factors.data(), out.cols, k, parts.item_stride},
                0.0f, {predictions.data(), m, out.cols, out.cols}, 0);
    FASTCF_LAUNCH(add_biases_kernel, blocks_for(n, kThreads), kThreads, 0, parts, users.data(), n, out.cols,
                  predictions.data());
    predictions.finish();
}

ErrorSums evaluate_csr(const FactorModel& model, const CsrView& ratings, VectorView<const float> weights, int,
                       float low, float high) {
    check_evaluation(model, ratings, weights, low, high, "evaluate_csr");
    const std::int64_t n = ratings.nnz();
    const In<std::int64_t> indptr(ratings.indptr, ratings.rows + 1);
    const In<std::int32_t> items(ratings.indices, n);
    const In<float> values(ratings.values, n), staged_weights(weights);
    return evaluate(model,
                    {indptr.data(), nullptr, items.data(), values.data(), staged_weights.data(), ratings.rows, n},
                    SquaredAndAbsolute{low, high});
}

ErrorSums evaluate_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                         VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                         VectorView<const float> weights, int, float low, float high) {
    return evaluate_weighted_pairs(model, user_rows, item_rows, values, weights, SquaredAndAbsolute{low, high},
                                   "evaluate_pairs");
}

double log_loss_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                      VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                      VectorView<const float> weights, int) {
    return evaluate_weighted_pairs(model, user_rows, item_rows, values, weights, LogLoss{}, "log_loss_pairs").squared;
}

}  // namespace fastcf
