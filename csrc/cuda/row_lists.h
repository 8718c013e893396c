// Rows of scores on the device, of some users at a time, and lists of their best items.
#pragma once

#include <cstdint>
#include <functional>

#include "core/view.h"
#include "ops/topk.h"

namespace fastcf {

// Writes the scores of all items for `count` users from `first` on, row after row, to the device's memory.
using ScoreRows = std::function<void(std::int64_t first, std::int64_t count, float* rows)>;

// The rows of all users, to a contiguous matrix in host or device memory.
void write_score_rows(MatrixView<float> out, const ScoreRows& score);

// The lists of the rows of all users: those of `selection`, whose queries and items have their numbers of rows. Checks
// the arguments; what the selection points to may lie in host or device memory.
void best_of_score_rows(TopkQuery selection, MatrixView<std::int32_t> ids, MatrixView<float> scores, const char* caller,
                        const ScoreRows& score);

}  // namespace fastcf
