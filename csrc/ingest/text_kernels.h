// The vector part of reading text: how many lines there are, where fields end, and what plain fields say.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf::ingest {

// What find_ends may write beyond the last end.
inline constexpr std::int64_t kEndsSlack = 16;

// Rows of a log as the kernels see them: each has `n_fields` fields, 3 or 4, in which the columns stand.
struct PlainLayout {
    char separator = ',';
    int n_fields = 4;
    int user = 0;
    int item = 1;
    int rating = 2;
    int timestamp = 3;  // only with four fields
};

template <class Integer>
struct PlainColumns {
    Integer* users;
    Integer* items;
    float* ratings;
    std::int64_t* timestamps;  // null with three fields
};

struct TextKernels {
    // Writes the positions of all separators and line ends among text[0, size), ascending, and returns where the next
    // would go. `size` is a multiple of 64; `out` has room for `size` + kEndsSlack positions.
    std::uint32_t* (*find_ends)(const char* text, std::uint32_t size, char separator, std::uint32_t* out);
    // How often `byte` occurs in text[0, size).
    std::int64_t (*count_byte)(const char* text, std::int64_t size, char byte);
    // Reads up to `n_rows` rows, some at a time, until one among those is not plain, and returns how many it read. Null
    // where the instruction set has nothing better than one row after the other. Plain are the integers and short
    // decimals of fields.h. Field f of row r lies between text[ends[r n_fields + f]] and text[ends[r n_fields + f + 1]]
    // (signed positions), which are separators and line ends; from the first of them on, all bytes up to
    // kReadAhead beyond the last may be read.
    std::int64_t (*read_rows_narrow)(const char* text, const std::uint32_t* ends, std::int64_t n_rows,
                                     const PlainLayout& layout, const PlainColumns<std::int32_t>& out);
    std::int64_t (*read_rows)(const char* text, const std::uint32_t* ends, std::int64_t n_rows,
                              const PlainLayout& layout, const PlainColumns<std::int64_t>& out);
};

FASTCF_KERNEL_TABLES(TextKernels, text_kernels)

}  // namespace fastcf::ingest
