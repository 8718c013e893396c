#include "emu/launch.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <vector>

#include "core/rng.h"
#include "emu/fiber.h"

namespace fastcf::emu {
namespace {

constexpr int kLanes = 32;
constexpr int kMostThreads = 1024;
constexpr std::int64_t kMostStaticSharedBytes = 48 << 10;

enum class State { ready, at_block_barrier, at_warp_barrier, done };

struct Site {
    const char* file = "";
    int line = 0;
    bool operator==(const Site& other) const { return line == other.line && std::strcmp(file, other.file) == 0; }
};

struct Thread {
    Fiber fiber;
    Index index;
    State state = State::ready;
    Site site;
    std::uint32_t warp_barriers = 0;  // passed; memory barriers only
    bool orders_memory = false;       // the warp barrier it stands at
    std::uint64_t exchanges = 0;
};

struct Warp {
    std::uint64_t values[2][kLanes];  // of even and odd exchanges: a lane may be one ahead of the others
};

// The block that runs. One launch at a time, on one thread of the host.
struct Block {
    const Launch* launch = nullptr;
    void (*body)(const void*) = nullptr;
    const void* context = nullptr;
    std::vector<std::unique_ptr<Thread>> threads;
    std::vector<Warp> warps;
    int current = 0;
    std::uint32_t number = 0;
    std::uint32_t block_barriers = 0;
    std::exception_ptr error;
    std::map<const void*, std::unique_ptr<Region>> shared;
    std::unique_ptr<Region> dynamic_shared;
};

std::mutex launch_mutex;
Block block;
std::uint32_t launches = 0;
Order order = Order::forward;
std::uint64_t order_seed = 0;

std::vector<int> sequence(int n, std::uint64_t stream) {
    std::vector<int> numbers(static_cast<std::size_t>(n));
    std::iota(numbers.begin(), numbers.end(), 0);
    if (order == Order::backward) std::reverse(numbers.begin(), numbers.end());
    if (order == Order::shuffled) shuffle(numbers.data(), n, Rng(order_seed, stream));
    return numbers;
}

Thread& current_thread() {
    return *block.threads[static_cast<std::size_t>(block.current)];
}

void fiber_main(void*) {
    for (;;) {
        try {
            block.body(block.context);
        } catch (...) {
            if (!block.error) block.error = std::current_exception();
        }
        current_thread().state = State::done;
        current_thread().fiber.suspend();
    }
}

void stop(State state, const char* file, int line) {
    Thread& thread = current_thread();
    thread.state = state;
    thread.site = {file, line};
    thread.fiber.suspend();
}

[[noreturn]] void divergence(int first, int last, const char* what) {
    const auto place = [&](int t) {
        const Thread& thread = *block.threads[static_cast<std::size_t>(t)];
        if (thread.state == State::done) return std::string("the end of the kernel");
        return concat(thread.state == State::at_block_barrier ? "a block barrier" : "a warp function", " at ",
                      thread.site.file, ":", thread.site.line);
    };
    int other = first;
    for (int t = first; t < last; ++t)
        if (place(t) != place(first)) other = t;
    throw Fault(concat(block.launch->name, ": block ", block.number, ": ", what, " is divergent: thread ", first,
                       " stands at ", place(first), ", thread ", other, " at ", place(other)));
}

bool same_stop(int first, int last, State state) {
    const Thread& leader = *block.threads[static_cast<std::size_t>(first)];
    for (int t = first; t < last; ++t) {
        const Thread& thread = *block.threads[static_cast<std::size_t>(t)];
        if (thread.state != state || (state != State::done && !(thread.site == leader.site))) return false;
    }
    return true;
}

// Runs the lanes of a warp until all stand at a block barrier or are done.
void run_warp(int warp, const std::vector<int>& lanes) {
    const int first = warp * kLanes, last = first + kLanes;
    for (;;) {
        for (const int lane : lanes) {
            block.current = first + lane;
            Thread& thread = current_thread();
            if (thread.state != State::ready) continue;
            coordinates.thread = thread.index;
            thread.fiber.resume();
            if (block.error) std::rethrow_exception(block.error);
        }
        if (same_stop(first, last, State::done) || same_stop(first, last, State::at_block_barrier)) return;
        if (!same_stop(first, last, State::at_warp_barrier)) divergence(first, last, "a warp");
        for (int t = first; t < last; ++t) {
            Thread& thread = *block.threads[static_cast<std::size_t>(t)];
            thread.state = State::ready;
            if (thread.orders_memory) ++thread.warp_barriers;
        }
    }
}

void run_block(int number) {
    const Launch& launch = *block.launch;
    const int n = launch.threads, n_warps = n / kLanes;
    block.number = static_cast<std::uint32_t>(number);
    block.block_barriers = 0;
    for (auto& [tag, region] : block.shared) region->forget();
    if (block.dynamic_shared) block.dynamic_shared->forget();
    coordinates.block = {static_cast<unsigned>(number % launch.blocks_x),
                         static_cast<unsigned>(number / launch.blocks_x), 0};
    for (int t = 0; t < n; ++t) {
        Thread& thread = *block.threads[static_cast<std::size_t>(t)];
        thread.index = {static_cast<unsigned>(t), 0, 0};
        thread.state = State::ready;
        thread.warp_barriers = 0;
        thread.exchanges = 0;
        thread.fiber.start(fiber_main, nullptr);
    }
    const std::vector<int> warps = sequence(n_warps, static_cast<std::uint64_t>(number));
    const std::vector<int> lanes = sequence(kLanes, ~static_cast<std::uint64_t>(number));
    for (;;) {
        for (const int warp : warps) run_warp(warp, lanes);
        if (same_stop(0, n, State::done)) return;
        if (!same_stop(0, n, State::at_block_barrier)) divergence(0, n, "a block");
        ++block.block_barriers;
        for (int t = 0; t < n; ++t) block.threads[static_cast<std::size_t>(t)]->state = State::ready;
    }
}

}  // namespace

thread_local Coordinates coordinates;

void set_order(Order new_order, std::uint64_t seed) {
    const std::lock_guard<std::mutex> lock(launch_mutex);
    order = new_order;
    order_seed = seed;
}

void fault(const std::string& what) {
    const Index& b = coordinates.block;
    throw Fault(concat(block.launch == nullptr ? "host" : block.launch->name, ": thread ", coordinates.thread.x,
                       " of block (", b.x, ", ", b.y, ") ", what));
}

Access current_access() {
    return {launches, block.number, block.current, block.block_barriers, current_thread().warp_barriers, false};
}

void wait_for_block(const char* file, int line) {
    stop(State::at_block_barrier, file, line);
}

void wait_for_warp(const char* file, int line, bool orders_memory) {
    current_thread().orders_memory = orders_memory;
    stop(State::at_warp_barrier, file, line);
}

std::uint64_t exchange(std::uint64_t bits, int source, const char* file, int line) {
    Thread& thread = current_thread();
    Warp& warp = block.warps[static_cast<std::size_t>(block.current / kLanes)];
    auto& values = warp.values[thread.exchanges++ % 2];
    values[block.current % kLanes] = bits;
    wait_for_warp(file, line, false);
    return values[source % kLanes];
}

std::uint32_t exchange_votes(bool yes, const char* file, int line) {
    Thread& thread = current_thread();
    auto& values = block.warps[static_cast<std::size_t>(block.current / kLanes)].values[thread.exchanges % 2];
    exchange(yes ? 1 : 0, 0, file, line);
    std::uint32_t votes = 0;
    for (int lane = 0; lane < kLanes; ++lane) votes |= static_cast<std::uint32_t>(values[lane] != 0) << lane;
    return votes;
}

Region& shared_region(const void* tag, const char* name, std::int64_t bytes) {
    auto& region = block.shared[tag];
    if (!region) region = std::make_unique<Region>(concat("the shared array ", name), bytes);
    std::int64_t total = 0;
    for (const auto& [key, each] : block.shared) total += each->bytes();
    if (total > kMostStaticSharedBytes)
        fault(concat("declares ", total, " bytes of shared arrays; ", kMostStaticSharedBytes, " fit"));
    return *region;
}

Region& dynamic_shared_region() {
    if (!block.dynamic_shared) fault("uses dynamic shared memory, of which the launch gives none");
    return *block.dynamic_shared;
}

void run(const Launch& launch, void (*body)(const void*), const void* context) {
    if (launch.threads < kLanes || launch.threads > std::min(kMostThreads, launch.most_threads) ||
        launch.threads % kLanes != 0)
        throw Fault(concat(launch.name, ": a block must have a multiple of 32 threads, at most ", launch.most_threads,
                           "; got ", launch.threads));
    if (launch.blocks_x < 0 || launch.blocks_x > INT32_MAX || launch.blocks_y < 0 || launch.blocks_y > 65535)
        throw Fault(concat(launch.name, ": a grid must have at most 2^31 - 1 by 65535 blocks; got ", launch.blocks_x,
                           " by ", launch.blocks_y));
    if (launch.shared_bytes < 0 || launch.shared_bytes > kMostSharedBytes)
        throw Fault(concat(launch.name, ": shared memory must have at most ", kMostSharedBytes, " bytes; got ",
                           launch.shared_bytes));
    const std::lock_guard<std::mutex> lock(launch_mutex);
    block.launch = &launch;
    block.body = body;
    block.context = context;
    block.error = nullptr;
    ++launches;
    while (static_cast<int>(block.threads.size()) < launch.threads) block.threads.push_back(std::make_unique<Thread>());
    block.warps.resize(static_cast<std::size_t>(launch.threads / kLanes));
    block.shared.clear();
    block.dynamic_shared.reset();
    if (launch.shared_bytes > 0)
        block.dynamic_shared = std::make_unique<Region>("dynamic shared memory", launch.shared_bytes);
    coordinates.block_size = {static_cast<unsigned>(launch.threads), 1, 1};
    coordinates.grid_size = {static_cast<unsigned>(launch.blocks_x), static_cast<unsigned>(launch.blocks_y), 1};
    for (const int number : sequence(static_cast<int>(launch.blocks_x * launch.blocks_y), 0)) run_block(number);
    block.launch = nullptr;
}

}  // namespace fastcf::emu
