#include "ops/predict.h"

#include <algorithm>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/predict_kernels.h"
#include "cpu/topk_kernels.h"
#include "math/loss.h"
#include "math/mf.h"

namespace fastcf {
namespace {

constexpr std::int64_t kPairsPerTask = 16384;
constexpr std::int64_t kItemBlockFloats = 64 << 10;  // of packed items: a part of L2
constexpr std::int64_t kUsersPerTask = 252;          // a multiple of both tile sizes

// Turns inner products into predictions, in place.
void add_biases(const FactorModel& model, const std::int32_t* users, const std::int32_t* items, std::int64_t n,
                float* out) {
    for (std::int64_t e = 0; e < n; ++e) {
        const std::int32_t user = users[e], item = items[e];
        const float offset = item < 0 || model.item_offset.empty() ? model.global_offset : model.item_offset[item];
        const float user_bias = user < 0 || model.user_bias.empty() ? 0.0f : model.user_bias[user];
        const float item_bias = item < 0 || model.item_bias.empty() ? 0.0f : model.item_bias[item];
        out[e] = mf_prediction(offset, user_bias, item_bias, out[e]);
    }
}

void predict_chunk(const FactorModel& model, const std::int32_t* users, const std::int32_t* items, std::int64_t n,
                   float* out) {
    FASTCF_SELECT_ISA(predict_kernels)
        .pair_products(model.user_factors.data, model.user_factors.stride, model.item_factors.data,
                       model.item_factors.stride, model.item_factors.cols, users, items, n, out);
    add_biases(model, users, items, n, out);
}

// Calls body(prediction, entry, partial) for every pair, chunk by chunk; partial sums are added in the order of chunks.
template <class Sum, class Body>
Sum sum_over_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                   VectorView<const std::int32_t> item_rows, int n_threads, const char* caller, Body&& body) {
    const std::int64_t n = user_rows.size;
    std::vector<Sum> partial(static_cast<std::size_t>((n + kPairsPerTask - 1) / kPairsPerTask));
    const int threads = threads_for(n * (model.item_factors.cols / 8 + 1), n_threads);
    parallel_chunks(n, kPairsPerTask, threads, [&](std::int64_t begin, std::int64_t end, int) {
        check_rows(user_rows.data, begin, end, model.user_factors.rows, caller, "user_rows");
        check_rows(item_rows.data, begin, end, model.item_factors.rows, caller, "item_rows");
        std::vector<float> predictions(static_cast<std::size_t>(end - begin));
        predict_chunk(model, user_rows.data + begin, item_rows.data + begin, end - begin, predictions.data());
        Sum& sum = partial[static_cast<std::size_t>(begin / kPairsPerTask)];
        for (std::int64_t e = begin; e < end; ++e) body(predictions[static_cast<std::size_t>(e - begin)], e, sum);
    });
    Sum total{};
    for (const Sum& sum : partial) total += sum;
    return total;
}

void add_user(const float* __restrict offset, const float* __restrict item_bias, float user_bias,
              const float* __restrict products, std::int64_t n, float* __restrict out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = mf_prediction(offset[i], user_bias, item_bias[i], products[i]);
}

}  // namespace

void predict_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                   VectorView<const std::int32_t> item_rows, VectorView<float> out, int n_threads) {
    const char* caller = "predict_pairs";
    check_pairs(model, user_rows, item_rows, out.size, caller);
    const int threads = threads_for(out.size * (model.item_factors.cols / 8 + 1), n_threads);
    parallel_chunks(out.size, kPairsPerTask, threads, [&](std::int64_t begin, std::int64_t end, int) {
        check_rows(user_rows.data, begin, end, model.user_factors.rows, caller, "user_rows");
        check_rows(item_rows.data, begin, end, model.item_factors.rows, caller, "item_rows");
        predict_chunk(model, user_rows.data + begin, item_rows.data + begin, end - begin, out.data + begin);
    });
}

void predict_block(const FactorModel& model, VectorView<const std::int32_t> user_rows, MatrixView<float> out,
                   int n_threads) {
    const char* caller = "predict_block";
    check_block(model, user_rows, out, caller);
    const std::int64_t n_items = model.item_factors.rows, k = model.item_factors.cols;
    check_rows(user_rows.data, 0, user_rows.size, model.user_factors.rows, caller, "user_rows");
    if (user_rows.size == 0 || n_items == 0) return;

    const TopkKernels& kernels = FASTCF_SELECT_ISA(topk_kernels);
    const std::int64_t width = kernels.panel_width;
    const std::int64_t block =
        std::clamp<std::int64_t>(kItemBlockFloats / std::max<std::int64_t>(k, 1) / width, 1, 64) * width;
    const std::int64_t n_blocks = (n_items + block - 1) / block;
    const std::vector<float> zeros(static_cast<std::size_t>(std::max(k, width)), 0.0f);
    const std::vector<float> no_threshold(kMaxTileUsers, std::numeric_limits<float>::quiet_NaN());  // every panel stops

    const std::int64_t n_chunks = (user_rows.size + kUsersPerTask - 1) / kUsersPerTask;
    parallel_for(n_chunks * n_blocks, n_threads, [&](std::int64_t task, int) {
        const std::int64_t first_item = task % n_blocks * block, count = std::min(block, n_items - first_item);
        const std::int64_t first_user = task / n_blocks * kUsersPerTask;
        const std::int64_t end_user = std::min(user_rows.size, first_user + kUsersPerTask);
        std::vector<float> offset(static_cast<std::size_t>(count), model.global_offset);
        std::vector<float> item_bias(static_cast<std::size_t>(count), 0.0f);
        if (!model.item_offset.empty()) std::copy_n(model.item_offset.data + first_item, count, offset.begin());
        if (!model.item_bias.empty()) std::copy_n(model.item_bias.data + first_item, count, item_bias.begin());
        AlignedBuffer<float> panels(block * k), users(kernels.tile_users * k);
        std::vector<const float*> rows(static_cast<std::size_t>(width));
        for (std::int64_t at = 0; at < count; at += width) {
            const std::int64_t lanes = std::min(width, count - at);
            for (std::int64_t lane = 0; lane < lanes; ++lane)
                rows[static_cast<std::size_t>(lane)] = model.item_factors.row(first_item + at + lane);
            kernels.pack(rows.data(), static_cast<int>(lanes), k, panels.data() + at * k);
        }
        alignas(kAlignment) float products[kMaxTileUsers * kMaxPanelWidth];
        std::uint32_t hits[kMaxTileUsers];
        for (std::int64_t u = first_user; u < end_user; u += kernels.tile_users) {
            const auto tile = static_cast<int>(std::min<std::int64_t>(kernels.tile_users, end_user - u));
            for (int r = 0; r < tile; ++r) {
                const float* row = user_rows[u + r] < 0 ? zeros.data() : model.user_factors.row(user_rows[u + r]);
                for (std::int64_t f = 0; f < k; ++f) users[f * tile + r] = row[f];
            }
            for (std::int64_t at = 0; at < count; at += width) {
                kernels.scan[tile](users.data(), k, panels.data() + at * k, zeros.data(), 1, 0, no_threshold.data(),
                                   products, hits);
                const std::int64_t lanes = std::min(width, count - at);
                for (int r = 0; r < tile; ++r) {
                    const std::int32_t user = user_rows[u + r];
                    add_user(offset.data() + at, item_bias.data() + at,
                             user < 0 || model.user_bias.empty() ? 0.0f : model.user_bias[user], products + r * width,
                             lanes, out.row(u + r) + first_item + at);
                }
            }
        }
    });
}

ErrorSums evaluate_csr(const FactorModel& model, const CsrView& ratings, VectorView<const float> weights, int n_threads,
                       float low, float high) {
    const char* caller = "evaluate_csr";
    check_evaluation(model, ratings, weights, low, high, caller);
    const std::int64_t n = ratings.nnz();
    std::vector<ErrorSums> partial(static_cast<std::size_t>((n + kPairsPerTask - 1) / kPairsPerTask));
    parallel_chunks(n, kPairsPerTask, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        std::vector<std::int32_t> users(static_cast<std::size_t>(end - begin));
        std::vector<float> predictions(users.size());
        std::int64_t row =
            std::upper_bound(ratings.indptr, ratings.indptr + ratings.rows + 1, begin) - ratings.indptr - 1;
        for (std::int64_t e = begin; e < end; ++e) {
            while (e >= ratings.indptr[row + 1]) ++row;
            users[static_cast<std::size_t>(e - begin)] = static_cast<std::int32_t>(row);
        }
        predict_chunk(model, users.data(), ratings.indices + begin, end - begin, predictions.data());
        ErrorSums& sums = partial[static_cast<std::size_t>(begin / kPairsPerTask)];
        for (std::int64_t e = begin; e < end; ++e) {
            const float prediction = std::clamp(predictions[static_cast<std::size_t>(e - begin)], low, high);
            const double error = static_cast<double>(prediction) - static_cast<double>(ratings.values[e]);
            const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[e]);
            sums.add(weight, error);
        }
    });
    ErrorSums total;
    for (const ErrorSums& sums : partial) total += sums;
    total.count = n;
    return total;
}

ErrorSums evaluate_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                         VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                         VectorView<const float> weights, int n_threads, float low, float high) {
    const char* caller = "evaluate_pairs";
    check_weighted_pairs(model, user_rows, item_rows, values, weights, caller);
    ErrorSums total = sum_over_pairs<ErrorSums>(
        model, user_rows, item_rows, n_threads, caller, [&](float prediction, std::int64_t e, ErrorSums& sums) {
            sums.add(weights.empty() ? 1.0 : static_cast<double>(weights[e]),
                     static_cast<double>(std::clamp(prediction, low, high)) - static_cast<double>(values[e]));
        });
    total.count = values.size;
    return total;
}

double log_loss_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                      VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                      VectorView<const float> weights, int n_threads) {
    const char* caller = "log_loss_pairs";
    check_weighted_pairs(model, user_rows, item_rows, values, weights, caller);
    return sum_over_pairs<double>(
        model, user_rows, item_rows, n_threads, caller, [&](float prediction, std::int64_t e, double& sum) {
            double slope;
            sum += (weights.empty() ? 1.0 : static_cast<double>(weights[e])) *
                   logistic_loss(static_cast<double>(prediction), static_cast<double>(values[e]), &slope);
        });
}

}  // namespace fastcf
