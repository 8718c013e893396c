// What epochs over tiles share on the CPU.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "math/sgd.h"
#include "ops/sgd.h"

namespace fastcf {

// What every row keeps of itself at each of its ratings.
inline AlignedBuffer<float> sgd_kept(const DeviceArray<float>& rates, float learning_rate) {
    AlignedBuffer<float> keep(rates.size());
    for (std::int64_t r = 0; r < rates.size(); ++r) keep[r] = sgd_keep(learning_rate, rates.data()[r]);
    return keep;
}

// A tile of an epoch and the tasks that must come before it: the tiles before it of its user block and of its item
// block, not the whole round.
struct SgdTask {
    SgdTile tile;
    TaskAfter after;
};

inline std::vector<SgdTask> sgd_tasks(int user_blocks, int item_blocks, const std::vector<std::int32_t>& rounds) {
    std::vector<SgdTask> tasks;
    std::vector<std::int64_t> last_of_users(static_cast<std::size_t>(user_blocks), -1);
    std::vector<std::int64_t> last_of_items(static_cast<std::size_t>(item_blocks), -1);
    for (const std::int32_t round : rounds)
        for (int k = 0; k < std::min(user_blocks, item_blocks); ++k) {
            const SgdTile tile = sgd_tile(user_blocks, item_blocks, round, k);
            std::int64_t& user_last = last_of_users[static_cast<std::size_t>(tile.user_block)];
            std::int64_t& item_last = last_of_items[static_cast<std::size_t>(tile.item_block)];
            const auto task = static_cast<std::int64_t>(tasks.size());
            tasks.push_back({tile, {user_last, item_last}});
            user_last = item_last = task;
        }
    return tasks;
}

}  // namespace fastcf
