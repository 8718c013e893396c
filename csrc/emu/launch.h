// Runs kernels on the host: one fiber per thread of a block, blocks one after the other.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "core/check.h"
#include "emu/memory.h"

namespace fastcf {
struct Grid;
}

namespace fastcf::emu {

inline constexpr std::int64_t kMostSharedBytes = 227 << 10;  // of a Hopper block

// What an emulated kernel did wrong; the message names kernel, block and thread.
struct Fault : std::logic_error {
    using std::logic_error::logic_error;
};

// Threads of a block, and blocks, run in this order.
enum class Order { forward, backward, shuffled };
void set_order(Order order, std::uint64_t seed);

// Throws Fault on behalf of the current thread.
[[noreturn]] void fault(const std::string& what);
Access current_access();

struct Index {
    unsigned x = 0, y = 0, z = 0;
};
struct Coordinates {
    Index thread, block, block_size, grid_size;
};
extern thread_local Coordinates coordinates;  // of the thread that runs

// Waits until every thread of the block (warp) stands here.
void wait_for_block(const char* file, int line);
void wait_for_warp(const char* file, int line, bool orders_memory);
// Leaves 8 bytes with the warp, waits for all lanes, and returns those of lane `source`.
std::uint64_t exchange(std::uint64_t bits, int source, const char* file, int line);
std::uint32_t exchange_votes(bool yes, const char* file, int line);

// The block's array of this declaration; `tag` stands for the declaration.
Region& shared_region(const void* tag, const char* name, std::int64_t bytes);
Region& dynamic_shared_region();

struct Launch {
    const char* name;
    int most_threads;
    std::int64_t blocks_x, blocks_y;
    int threads;
    std::int64_t shared_bytes;
};
void run(const Launch& launch, void (*body)(const void*), const void* context);

template <class... Parameters, class... Arguments>
void launch_kernel(const Launch& launch, void (*kernel)(Parameters...), Arguments&&... arguments) {
    using Bound = std::pair<void (*)(Parameters...), std::tuple<Parameters...>>;
    const Bound bound{kernel, std::tuple<Parameters...>(Parameters(std::forward<Arguments>(arguments))...)};
    run(
        launch,
        [](const void* context) {
            const auto& [function, values] = *static_cast<const Bound*>(context);
            std::apply(function, values);
        },
        &bound);
}

}  // namespace fastcf::emu
