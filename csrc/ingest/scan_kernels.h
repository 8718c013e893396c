// The vector part of reading text: where fields end, and how many lines there are.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf::ingest {

// What find_ends may write beyond the last end.
inline constexpr std::int64_t kScanSlack = 16;

struct ScanKernels {
    // Writes the positions of all separators and line ends among text[0, size), ascending, and returns where the next
    // would go. `size` is a multiple of 64; `out` has room for `size` + kScanSlack positions.
    std::uint32_t* (*find_ends)(const char* text, std::uint32_t size, char separator, std::uint32_t* out);
    // How often `byte` occurs in text[0, size).
    std::int64_t (*count_byte)(const char* text, std::int64_t size, char byte);
};

FASTCF_KERNEL_TABLES(ScanKernels, scan_kernels)

}  // namespace fastcf::ingest
