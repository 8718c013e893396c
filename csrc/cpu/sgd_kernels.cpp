#include "cpu/sgd_kernels.h"

#include "cpu/sgd_vec.h"
#include "math/loss.h"
#include "math/sgd.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

template <int U>
FASTCF_INLINE f4 gather(const float* x) {
    if constexpr (U == 4)
        return *reinterpret_cast<const f4*>(x);
    else if constexpr (U == 2)
        return f4{x[0], x[1], 0.0f, 0.0f};
    else
        return f4{x[0], 0.0f, 0.0f, 0.0f};
}

// The logistic cost of four ratings, and minus its slope. Whole arrays go through one loop, which becomes vector code.
FASTCF_INLINE f4 logistic_losses(f4 z, f4 y, f4* error) {
    float at[4], label[4], slope[4], loss[4];
    __builtin_memcpy(at, &z, sizeof z);
    __builtin_memcpy(label, &y, sizeof y);
#pragma omp simd
    for (int j = 0; j < 4; ++j) loss[j] = logistic_loss(at[j], label[j], &slope[j]);
    f4 slopes, losses;
    __builtin_memcpy(&slopes, slope, sizeof slope);
    __builtin_memcpy(&losses, loss, sizeof loss);
    *error = -slopes;
    return losses;
}

// Advances U runs by `steps` ratings each. NV is the number of vectors of a row, 0 when only known at run time.
template <int NV, int U, bool BIAS, bool WEIGHTED, Loss LOSS>
FASTCF_INLINE double advance(const SgdTileArgs& args, const SgdRun* runs, int steps, const unsigned short* items,
                             const float* values, const float* weights) {
    constexpr bool kResident = NV > 0 && NV * U <= kMostResident;
    const long nv = NV > 0 ? NV : args.stride / kLanes;
    constexpr long kFirst = NV > 0 ? NV : kPerBlock;  // vectors whose loop is unrolled
    Vec resident[U][kResident ? NV : 1];
    float* rows[U];
    float bias[4] = {0, 0, 0, 0};
    float keep[4] = {0, 0, 0, 0};
    float bias_keep[U];
    const float lr = args.learning_rate;
    for (int j = 0; j < U; ++j) {
        rows[j] = args.user_factors + runs[j].user * args.stride;
        bias[j] = args.user_bias[runs[j].user];
        keep[j] = args.user_keep[runs[j].user];
        bias_keep[j] = args.user_bias_keep[runs[j].user];
        if constexpr (kResident)
            for (int v = 0; v < NV; ++v) resident[j][v] = load(rows[j] + v * kLanes);
    }
    const auto user_vector = [&](int j, long v) {
        if constexpr (kResident)
            return resident[j][v];
        else
            return load(rows[j] + v * kLanes);
    };
    const auto set_user_vector = [&](int j, long v, Vec x) {
        if constexpr (kResident)
            resident[j][v] = x;
        else
            store(rows[j] + v * kLanes, x);
    };
    f4 loss = {0, 0, 0, 0};
    for (int t = 0; t < steps; ++t, items += U, values += U) {
        Vec acc[U];
#pragma GCC unroll 4
        for (int j = 0; j < U; ++j) {
            const float* q = args.item_factors + items[j] * args.stride;
            acc[j] = user_vector(j, 0) * load(q);
#pragma GCC unroll 16
            for (long v = 1; v < kFirst; ++v) acc[j] = fma(user_vector(j, v), load(q + v * kLanes), acc[j]);
#pragma GCC unroll kBlocks
            for (long block = kFirst; block < nv; block += kPerBlock)
#pragma GCC unroll 4
                for (long v = block; v < block + kPerBlock; ++v)
                    acc[j] = fma(user_vector(j, v), load(q + v * kLanes), acc[j]);
        }
        f4 error = LOSS == Loss::squared ? sgd_error(gather<U>(values), row_sums<U>(acc)) : row_sums<U>(acc);
        if constexpr (BIAS) {
            float item_bias[4] = {0, 0, 0, 0};
            for (int j = 0; j < U; ++j) item_bias[j] = args.item_bias[items[j]];
            const f4 biases =
                f4{bias[0], bias[1], bias[2], bias[3]} + f4{item_bias[0], item_bias[1], item_bias[2], item_bias[3]};
            error = LOSS == Loss::squared ? sgd_error(error, biases) : error + biases;
        }
        f4 cost;
        if constexpr (LOSS == Loss::logistic) cost = logistic_losses(error + args.offset, gather<U>(values), &error);
        f4 gradient = error;
        if constexpr (WEIGHTED) {
            gradient = error * gather<U>(weights);
            if constexpr (LOSS == Loss::logistic) cost *= gather<U>(weights);
            weights += U;
        }
        if constexpr (LOSS == Loss::squared) cost = gradient * error;
        loss += cost;
        float item_keep[4] = {0, 0, 0, 0};
        for (int j = 0; j < U; ++j) item_keep[j] = args.item_keep[items[j]];
        float user_pull[4], item_pull[4];
        *reinterpret_cast<f4*>(user_pull) = sgd_pull(gradient, lr, f4{keep[0], keep[1], keep[2], keep[3]});
        *reinterpret_cast<f4*>(item_pull) =
            sgd_pull(gradient, lr, f4{item_keep[0], item_keep[1], item_keep[2], item_keep[3]});
#pragma GCC unroll 4
        for (int j = 0; j < U; ++j) {
            float* q = args.item_factors + items[j] * args.stride;
            const Vec user_by = broadcast(user_pull[j]);
            const Vec item_by = broadcast(item_pull[j]);
            const Vec user_kept = broadcast(keep[j]);
            const Vec item_kept = broadcast(item_keep[j]);
            const auto update = [&](long v) __attribute__((always_inline)) {
                const Vec q_old = load(q + v * kLanes);
                const Vec p_old = user_vector(j, v);
                store(q + v * kLanes, sgd_factor(q_old, p_old, item_by, item_kept, MultiplyAdd{}));
                set_user_vector(j, v, sgd_factor(p_old, q_old, user_by, user_kept, MultiplyAdd{}));
            };
#pragma GCC unroll 16
            for (long v = 0; v < kFirst; ++v) update(v);
#pragma GCC unroll kBlocks
            for (long block = kFirst; block < nv; block += kPerBlock)
#pragma GCC unroll 4
                for (long v = block; v < block + kPerBlock; ++v) update(v);
            if constexpr (BIAS) {
                const float step = gradient[j] * args.bias_learning_rate;
                float& item_bias = args.item_bias[items[j]];
                item_bias = sgd_bias(item_bias, step, args.item_bias_keep[items[j]]);
                bias[j] = sgd_bias(bias[j], step, bias_keep[j]);
            }
        }
    }
    for (int j = 0; j < U; ++j) {
        if constexpr (kResident)
            for (int v = 0; v < NV; ++v) store(rows[j] + v * kLanes, resident[j][v]);
        if constexpr (BIAS) args.user_bias[runs[j].user] = bias[j];
    }
    double total = 0;
    for (int j = 0; j < U; ++j) total += static_cast<double>(loss[j]);
    return total;
}

template <int NV, bool BIAS, bool WEIGHTED, Loss LOSS>
double run_tile(const SgdTileArgs& args) {
    constexpr int U = interleave_of(NV);
    const unsigned short* items = args.items;
    const float* values = args.values;
    const float* weights = args.weights;
    double loss = 0;
    for (long r = 0; r < args.n_runs; r += U) {
        const SgdRun* runs = args.runs + r;
        const int n = args.n_runs - r < U ? static_cast<int>(args.n_runs - r) : U;
        for (int j = 0; r + U + j < args.n_runs && j < U; ++j)
            for (long i = 0; i < args.stride; i += kRowAlign)
                __builtin_prefetch(args.user_factors + runs[U + j].user * args.stride + i, 1);
        int shared = 0;
        if (n == U) {
            shared = runs[U - 1].length;  // runs are sorted, longest first
            loss += advance<NV, U, BIAS, WEIGHTED, LOSS>(args, runs, shared, items, values, weights);
            items += shared * U;
            values += shared * U;
            if constexpr (WEIGHTED) weights += shared * U;
        }
        for (int j = 0; j < n; ++j) {
            const int rest = runs[j].length - shared;
            if (rest == 0) continue;
            loss += advance<NV, 1, BIAS, WEIGHTED, LOSS>(args, runs + j, rest, items, values, weights);
            items += rest;
            values += rest;
            if constexpr (WEIGHTED) weights += rest;
        }
    }
    return loss;
}

template <int NV, Loss LOSS>
double tile_of(const SgdTileArgs& args) {
    const bool weighted = args.weights != nullptr;
    if (args.bias) return weighted ? run_tile<NV, true, true, LOSS>(args) : run_tile<NV, true, false, LOSS>(args);
    return weighted ? run_tile<NV, false, true, LOSS>(args) : run_tile<NV, false, false, LOSS>(args);
}

template <int NV>
double tile_for(const SgdTileArgs& args) {
    return args.loss == Loss::logistic ? tile_of<NV, Loss::logistic>(args) : tile_of<NV, Loss::squared>(args);
}

int specialised(long stride) {
    return own(stride / kLanes);
}

double tile(const SgdTileArgs& args) {
    [[maybe_unused]] const FlushDenormals flush;
    switch (args.stride / kRowAlign) {
        case 1:
            return tile_for<own(1 * kPerBlock)>(args);
        case 2:
            return tile_for<own(2 * kPerBlock)>(args);
        case 3:
            return tile_for<own(3 * kPerBlock)>(args);
        case 4:
            return tile_for<own(4 * kPerBlock)>(args);
        case 5:
            return tile_for<own(5 * kPerBlock)>(args);
        case 6:
            return tile_for<own(6 * kPerBlock)>(args);
        case 7:
            return tile_for<own(7 * kPerBlock)>(args);
        case 8:
            return tile_for<own(8 * kPerBlock)>(args);
        default:
            return tile_for<0>(args);
    }
}

int interleave(long stride) {
    return interleave_of(specialised(stride));
}

}  // namespace

const SgdKernels sgd_kernels = {tile, interleave};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
