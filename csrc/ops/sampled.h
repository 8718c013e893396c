// One epoch of stochastic gradient descent on choices: each of them beside items drawn at random, with L2.
//
// For a choice of item i by user u with weight w and drawn items j_1 .. j_n, with scores s = p_u.q + b, g the
// derivative of w times the cost (math/sampled.h) by a score:
//     p_u <- (p_u - lr (g_i q_i + sum g_j q_j)) / (1 + lr r_u)
//     q_i <- (q_i - lr g_i p_u) / (1 + lr r_i)        b_i <- (b_i - lr_b g_i) / (1 + lr_b r_i)
//     q_j <-  q_j - lr g_j p_u                        b_j <-  b_j - lr_b g_j
// The penalty is a proximal step and is paid at choices, as in ops/sgd.h. All slopes of a choice are taken at one
// point, on the CPU those of up to eight choices: of interleaved runs, and of consecutive choices of each. Then they
// step one after the other.
//
// Which items are drawn. Choices are laid out as tiles, user block x item block (SgdTiles). Before each epoch item
// blocks are matched in pairs at random; a task is a user block and a pair, and the choices of either block are
// compared with items drawn from the other. Tasks of one round share no block, so they run in parallel and the result
// does not depend on the number of threads. With F blocks every block meets every block with probability 1 / F, itself
// included: an odd number leaves one block to itself; with an even number all are left to themselves in one epoch of F,
// on average. Within a block item j is drawn with probability v_j / V, v_j = n_j^power for the n_j choices of j (0 for
// none), V the block's sum; over epochs, of all items with v_j / (F V). What a drawn item counts makes up for unlike
// sums: `share` = F V / (sum of all v), for softmax the correction log(F V / (n v_j)), so that the expected cost is the
// one with items drawn from all, with probabilities in proportion to v. What the user has chosen is drawn no less often
// but does not count. Draws are functions of seed, epoch and the choice's place: other draws in every epoch.
//
// Cost per choice at stride s, n items drawn: (n + 1) (2s (dot) + 4s (steps)) + 2s flops, 16 s (n + 1) bytes of item
// rows through L1/L2, 8s / run length bytes of user row, 6 bytes of choice; n half words, table slots and filter bits
// of random access in L1/L2. Bound by L2 traffic and, for n = 1, by the latency of the dot products, which interleaving
// runs hides, and the drawing.
#pragma once

#include <cstdint>
#include <vector>

#include "core/alias.h"
#include "core/device.h"
#include "core/memory.h"
#include "math/sampled.h"
#include "ops/sgd.h"

namespace fastcf {

inline constexpr int kMostDrawn = 256;  // items for one choice

// What is drawn, and who has chosen what; in permuted order.
struct SampledItems {
    int n_drawn = 1;
    DeviceArray<AliasSlot> slots;    // (n_items,): those of a block are a table of positions within the block
    DeviceArray<float> correction;   // (n_items,): of scores, for softmax; else empty
    std::vector<float> share;        // of each item block
    DeviceArray<float> block_share;  // the same on the device
    // The choices of users: item rows ascending, and bits (filter_place). Bits that are not all set: not chosen. If
    // they are, with shift 0: chosen; with another: look it up.
    DeviceArray<std::int64_t> offsets;  // (n_users + 1,)
    DeviceArray<std::int32_t> items;
    DeviceArray<std::int32_t> item_rows;      // position -> row
    DeviceArray<std::int64_t> filter_begins;  // (n_users,): word
    DeviceArray<std::int32_t> filter_shifts;  // (n_users,)
    DeviceArray<std::uint32_t> filter;
};

// The matching of an epoch: pairs of item blocks (the second is -1 for one that is alone), the block that each block's
// choices are compared with, and the rounds in order. A task is a tile of user_blocks x pairs, see sgd_tile.
struct SampledPlan {
    std::vector<std::int32_t> pairs;    // (n_pairs, 2)
    std::vector<std::int32_t> partner;  // (item_blocks,)
    std::vector<std::int32_t> rounds;
    std::uint64_t key = 0;  // of the stream of draws: random_key of seed and epoch
    int n_pairs() const { return static_cast<int>(pairs.size() / 2); }
};

struct SampledStep {
    float learning_rate = 0, item_learning_rate = 0, bias_learning_rate = 0;  // of users; of items: 0 to leave them
    bool bias = true;
    SampledCost cost = SampledCost::bpr;
    bool by_user = false;  // draws are functions of the choice's place in its run: users' steps depend on nobody else
};

// A grid that suits the device, of item blocks not too small to be drawn from.
SgdGrid sampled_grid(std::int64_t n_choices, std::int64_t n_users, std::int64_t n_items, std::int64_t stride,
                     int n_drawn);

// Runs every task once. `tiles.values` are the weights of choices. Deterministic. Throws Interrupted between tasks; the
// state then holds what was learnt so far.
void sampled_epoch(const SgdTiles& tiles, const SampledItems& items, const SampledPlan& plan, SgdState& state,
                   const SampledStep& step, int n_threads);

}  // namespace fastcf
