#include "emu/faults.h"

#include <algorithm>
#include <functional>
#include <map>

#include "core/memory.h"
#include "cuda/kernel.h"

namespace fastcf::emu {
namespace {

constexpr int kThreads = 64;

FASTCF_DEVICE int this_thread() {
    return static_cast<int>(threadIdx.x);
}

// Every thread reads what its neighbour wrote.
template <bool Barrier>
FASTCF_KERNEL(kThreads)
void neighbour_kernel(Global<float> out) {
    FASTCF_SHARED(float, values, kThreads);
    values[this_thread()] = static_cast<float>(this_thread());
    if (Barrier) block_sync();
    out[this_thread()] = values[(this_thread() + 1) % kThreads];
}

// The second round of values may overwrite the first before the neighbour has read it.
FASTCF_KERNEL(kThreads)
void two_rounds_kernel(Global<float> out) {
    FASTCF_SHARED(float, values, kThreads);
    float sum = 0.0f;
    for (int round = 0; round < 2; ++round) {
        values[this_thread()] = static_cast<float>(round);
        block_sync();
        sum += values[(this_thread() + 1) % kThreads];
    }
    out[this_thread()] = sum;
}

// Neighbours within warps, where the barrier of a warp is enough.
FASTCF_KERNEL(kThreads)
void warp_neighbour_kernel(Global<float> out) {
    FASTCF_SHARED(float, values, kThreads);
    values[this_thread()] = static_cast<float>(this_thread());
    warp_sync();
    out[this_thread()] = values[this_thread() ^ 1];
}

// All lanes of a warp read what one of them then replaces.
template <bool Barrier>
FASTCF_KERNEL(kThreads)
void warp_counter_kernel(Global<float> out) {
    FASTCF_SHARED(float, counters, kThreads / kWarp);
    if (lane_index() == 0) counters[warp_index()] = 1.0f;
    warp_sync();
    const float before = counters[warp_index()];
    if (Barrier) warp_sync();
    if (lane_index() == 0) counters[warp_index()] = before + 1.0f;
    warp_sync();
    out[this_thread()] = counters[warp_index()];
}

FASTCF_KERNEL(kThreads)
void write_past_end_kernel(Global<float> out) {
    out[this_thread() + 1] = 1.0f;
}

FASTCF_KERNEL(kThreads)
void read_past_shared_kernel(Global<float> out) {
    FASTCF_SHARED(float, values, kThreads);
    values[this_thread()] = 0.0f;
    block_sync();
    out[this_thread()] = values[this_thread() + 1];
}

// Half of the block goes home before the barrier.
FASTCF_KERNEL(kThreads)
void divergent_barrier_kernel(Global<float> out) {
    if (this_thread() >= kThreads / 2) return;
    block_sync();
    out[this_thread()] = 1.0f;
}

FASTCF_KERNEL(kThreads)
void divergent_shuffle_kernel(Global<float> out) {
    float value = static_cast<float>(this_thread());
    if (lane_index() < 16) value = shuffle_xor(value, 1);
    out[this_thread()] = value;
}

FASTCF_KERNEL(kThreads)
void two_barriers_kernel(Global<float> out) {
    if (this_thread() < kThreads / 2)
        block_sync();
    else
        block_sync();
    out[this_thread()] = 1.0f;
}

FASTCF_KERNEL(kThreads)
void copy_kernel(Global<const float> in, Global<float> out) {
    out[this_thread()] = in[this_thread()];
}

FASTCF_KERNEL(kThreads)
void uninitialised_shared_kernel(Global<float> out) {
    FASTCF_SHARED(float, values, kThreads);
    if (this_thread() > 0) values[this_thread()] = 1.0f;
    block_sync();
    out[this_thread()] = values[this_thread()];
}

template <bool Atomic>
FASTCF_KERNEL(kThreads)
void count_kernel(Global<int> out) {
    if (Atomic)
        atomic_add(out, 1);
    else
        out[0] += 1;
}

FASTCF_KERNEL(kThreads)
void misaligned_kernel(Global<const float> in, Global<float> out) {
    const float4 four = load4(in + this_thread());
    out[this_thread()] = four.x;
}

FASTCF_KERNEL(kThreads)
void sum_kernel(Global<float> out) {
    FASTCF_SHARED(float, scratch, kWarp);
    const float total = block_sum(static_cast<float>(this_thread()), scratch);
    out[this_thread()] = total;
}

void expect(const DeviceArray<float>& got, const std::function<float(int)>& wanted, const char* name) {
    const std::vector<float> values = got.to_host();
    for (int t = 0; t < kThreads; ++t)
        if (values[static_cast<std::size_t>(t)] != wanted(t))
            throw std::logic_error(concat(name, " gave ", values[static_cast<std::size_t>(t)], " for thread ", t));
}

void send_zeros(Staging& staging, DeviceArray<unsigned char>& target) {
    std::fill_n(staging.data(), target.size(), static_cast<unsigned char>(0));
    staging.send(target.data());
}

using Runs = std::map<std::string, std::function<void()>>;

const Runs& runs() {
    static const Runs all = [] {
        const auto out = [](auto kernel, const char* name) {
            return [=] {
                DeviceArray<float> values(kThreads);
                launch_kernel({name, 1024, 1, 1, kThreads, 0}, kernel, values.data());
            };
        };
        const auto right = [](auto kernel, const char* name, auto wanted) {
            return [=] {
                DeviceArray<float> values(kThreads);
                launch_kernel({name, 1024, 1, 1, kThreads, 0}, kernel, values.data());
                expect(values, wanted, name);
            };
        };
        Runs result;
        result["missing barrier"] = out(neighbour_kernel<false>, "neighbour_kernel");
        result["missing second barrier"] = out(two_rounds_kernel, "two_rounds_kernel");
        result["missing warp barrier"] = out(warp_counter_kernel<false>, "warp_counter_kernel");
        result["write out of bounds"] = out(write_past_end_kernel, "write_past_end_kernel");
        result["read out of shared memory"] = out(read_past_shared_kernel, "read_past_shared_kernel");
        result["divergent barrier"] = out(divergent_barrier_kernel, "divergent_barrier_kernel");
        result["divergent shuffle"] = out(divergent_shuffle_kernel, "divergent_shuffle_kernel");
        result["two barriers"] = out(two_barriers_kernel, "two_barriers_kernel");
        result["uninitialised shared memory"] = out(uninitialised_shared_kernel, "uninitialised_shared_kernel");
        result["uninitialised memory"] = [] {
            const DeviceArray<float> in(kThreads);
            DeviceArray<float> values(kThreads);
            FASTCF_LAUNCH(copy_kernel, 1, kThreads, 0, in.data(), values.data());
        };
        result["host memory"] = [] {
            const std::vector<float> in(kThreads);
            DeviceArray<float> values(kThreads);
            FASTCF_LAUNCH(copy_kernel, 1, kThreads, 0, in.data(), values.data());
        };
        result["misaligned vector"] = [] {
            const DeviceArray<float> in = DeviceArray<float>::zeros(2 * kThreads);
            DeviceArray<float> values(kThreads);
            FASTCF_LAUNCH(misaligned_kernel, 1, kThreads, 0, in.data(), values.data());
        };
        result["race between blocks"] = [] {
            DeviceArray<int> count = DeviceArray<int>::zeros(1);
            FASTCF_LAUNCH(count_kernel<false>, 4, kThreads, 0, count.data());
        };
        result["odd block"] = [] {
            DeviceArray<float> values(kThreads);
            FASTCF_LAUNCH(sum_kernel, 1, kThreads - 1, 0, values.data());
        };
        result["staging written too early"] = [] {
            DeviceArray<unsigned char> target(kThreads);
            Staging staging(kThreads);
            send_zeros(staging, target);
            staging.data()[0] = 1;
            staging.wait();
        };
        result["staging sent too early"] = [] {
            DeviceArray<unsigned char> target(kThreads);
            Staging staging(kThreads);
            send_zeros(staging, target);
            send_zeros(staging, target);
        };
        result["right: staging"] = [] {
            DeviceArray<unsigned char> target(kThreads);
            Staging staging(kThreads);
            send_zeros(staging, target);
            staging.wait();
            staging.data()[0] = 1;
            staging.send(target.data());
            staging.wait();
            if (target.to_host()[0] != 1 || target.to_host()[1] != 0)
                throw std::logic_error("staging sent something else");
        };
        result["right: barrier"] = right(neighbour_kernel<true>, "neighbour_kernel",
                                         [](int t) { return static_cast<float>((t + 1) % kThreads); });
        result["right: warp barrier"] =
            right(warp_neighbour_kernel, "warp_neighbour_kernel", [](int t) { return static_cast<float>(t ^ 1); });
        result["right: counters of warps"] =
            right(warp_counter_kernel<true>, "warp_counter_kernel", [](int) { return 2.0f; });
        result["right: block sum"] =
            right(sum_kernel, "sum_kernel", [](int) { return static_cast<float>(kThreads * (kThreads - 1) / 2); });
        result["right: atomic count"] = [] {
            DeviceArray<int> count = DeviceArray<int>::zeros(1);
            FASTCF_LAUNCH(count_kernel<true>, 4, kThreads, 0, count.data());
            if (count.to_host()[0] != 4 * kThreads) throw std::logic_error("count_kernel lost counts");
        };
        return result;
    }();
    return all;
}

}  // namespace

std::vector<std::string> planted_faults() {
    std::vector<std::string> names;
    for (const auto& [name, run] : runs()) names.push_back(name);
    return names;
}

void run_planted(const std::string& name) {
    const auto found = runs().find(name);
    check(found != runs().end(), "run_planted: name must be one of planted_faults(); got '", name, "'");
    found->second();
}

}  // namespace fastcf::emu
