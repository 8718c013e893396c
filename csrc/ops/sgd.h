// One epoch of stochastic gradient descent on sparse ratings: the masked squared or logistic cost with L2, one rating
// at a time.
//
// For a rating y of user u and item i with weight w, with e = y - z for the squared cost and y - sigmoid(z) for the
// logistic one, z = offset + b_u + b_i + p_u.q_i:
//     p_u <- (p_u + lr w e q_i) / (1 + lr r_u)        b_u <- (b_u + lr_b w e) / (1 + lr_b s_u)
//     q_i <- (q_i + lr w e p_u) / (1 + lr r_i)        b_i <- (b_i + lr_b w e) / (1 + lr_b s_i)
// a gradient step on the error and a proximal step on the penalty (J. Duchi and Y. Singer, JMLR 10, 2009), which no
// penalty makes unstable. The rates r and s are what one of a row's ratings pays of its penalty: with n ratings and
// reg n^a |p|^2 / 2 to pay in an epoch, r = reg n^(a - 1).
//
// Ratings are laid out as tiles, user block x item block; tiles of one round share no block, so a round's tiles run in
// parallel and the result does not depend on the number of threads. Inside a tile the ratings of one user form a run,
// during which p_u stays in registers or L1; runs are sorted by length.
//
// On the CPU `interleave` runs advance together, which hides the latency of the dot products. Two interleaved runs may
// meet at one item: both errors are then taken before either step, and both steps are applied. Cost per rating at
// stride s: 2s (dot) + 6s (both steps) flops; 8s bytes of item row through L1/L2 (read and write), 8s / run length
// bytes of user row, 6 bytes of rating. Bound by L2 traffic and dot latency, not by arithmetic. The logistic cost adds
// about 40 flops for the sigmoid and the cost itself, on all interleaved runs at once.
//
// On a GPU a tile is the work of a part of a warp, in a grid fine enough to fill the device: the same bits every time.
// Or steps may race: each run is then the work of a part of a warp, and runs that meet at an item overwrite each
// other's steps now and then (Niu et al., "Hogwild!", NIPS 2011), several times faster; see cuda/sgd.cu for both costs.
#pragma once

#include <cstdint>
#include <vector>

#include "core/device.h"
#include "core/memory.h"
#include "core/view.h"
#include "math/loss.h"

namespace fastcf {

struct SgdRun {
    std::int32_t user;    // row in the permuted user order
    std::int32_t length;  // ratings in the run
};

// How a backend wants ratings laid out.
struct SgdGrid {
    std::int64_t user_blocks = 1, item_blocks = 1;  // about
    int interleave = 1;
    int together = 1;  // ratings of each interleaved run whose errors are taken at one point
    bool racing = false;
};

// Ratings in training order. Group g of `interleave` runs stores the steps all its runs share as
// [step][run], then what is left of each run, one run after the other.
struct SgdTiles {
    std::int64_t n_users = 0;
    std::int64_t n_items = 0;
    std::int64_t n_ratings = 0;
    SgdGrid grid;
    std::vector<std::int32_t> user_position, item_position;  // row -> position in the permuted order
    std::vector<std::int32_t> user_bounds, item_bounds;      // block b holds positions [bounds[b], bounds[b + 1])
    std::vector<std::int64_t> rating_offsets, run_offsets;   // of tile (ub, ib) at ub * item_blocks + ib
    DeviceArray<SgdRun> runs;
    DeviceArray<std::uint16_t> items;  // position within the item block
    DeviceArray<float> values;         // rating - offset; labels themselves for the logistic cost
    DeviceArray<float> weights;        // empty when every weight is 1

    int user_blocks() const { return static_cast<int>(user_bounds.size()) - 1; }
    int item_blocks() const { return static_cast<int>(item_bounds.size()) - 1; }
    int rounds() const { return user_blocks() < item_blocks() ? item_blocks() : user_blocks(); }
    int tiles_per_round() const { return user_blocks() < item_blocks() ? user_blocks() : item_blocks(); }
};

// The k-th tile of a round: tiles of one round share no block, and every tile is in one round.
struct SgdTile {
    int user_block, item_block;
};
FASTCF_FORMULA SgdTile sgd_tile(int user_blocks, int item_blocks, int round, int k) {
    return user_blocks <= item_blocks ? SgdTile{k, (k + round) % item_blocks} : SgdTile{(k + round) % user_blocks, k};
}

// Parameters in the permuted order; rows of `stride` floats (a multiple of 16, zero padded), 64-byte aligned.
struct SgdState {
    std::int64_t stride = 0;
    DeviceArray<float> user_factors, item_factors;
    DeviceArray<float> user_bias, item_bias;
    DeviceArray<float> user_rate, item_rate;                          // r
    DeviceArray<float> user_bias_rate, item_bias_rate;                // s
    DeviceArray<std::uint16_t> half_user_factors, half_item_factors;  // where an epoch keeps factors as halves
    DeviceArray<std::int64_t> tile_ratings, tile_runs, run_ratings;   // what an epoch on a GPU needs of the tiles
    DeviceArray<std::int32_t> item_bounds;
};

struct SgdStep {
    float learning_rate = 0;       // of factors: its unit is one over the ratings'
    float bias_learning_rate = 0;  // of biases: a pure number
    bool bias = true;
    Loss loss = Loss::squared;
    float offset = 0;   // of every prediction; for the logistic cost only, see SgdTiles::values
    bool half = false;  // keep factors as 16-bit floats during the epoch; arithmetic is float32 all the same
};

// A grid that suits the device. Only a GPU may choose to let steps race, and only when `deterministic` is false.
SgdGrid sgd_grid(std::int64_t n_ratings, std::int64_t n_users, std::int64_t n_items, std::int64_t stride,
                 bool deterministic);

// Runs every tile once, rounds in the given order. Returns the sum of w e^2, or of w (softplus(z) - y z) for the
// logistic cost, each taken just before its own step. Deterministic unless tiles.grid.racing. Throws Interrupted
// between tiles; the state then holds what was learnt so far.
double sgd_epoch(const SgdTiles& tiles, const std::vector<std::int32_t>& rounds, SgdState& state, const SgdStep& step,
                 int n_threads);

}  // namespace fastcf
