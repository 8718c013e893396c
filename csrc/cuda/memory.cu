#include <iterator>
#include <map>
#include <mutex>

#include "core/memory.h"
#include "cuda/kernel.h"
#include "cuda/runtime.h"

namespace fastcf {
namespace {

std::mutex allocations_mutex;
std::map<std::uintptr_t, std::int64_t> allocations;  // address -> bytes

constexpr std::uint64_t kKeptBytes = std::uint64_t{2} << 30;

// Memory is taken from the device's pool, which keeps some of what is given back: staging an array costs microseconds.
cudaMemPool_t memory_pool() {
    static const cudaMemPool_t pool = [] {
        int device = 0;
        cudaMemPool_t found = nullptr;
        check_cuda(cudaGetDevice(&device), "asking for the device");
        check_cuda(cudaDeviceGetDefaultMemPool(&found, device), "asking for the memory pool");
        std::uint64_t most = kKeptBytes;
        check_cuda(cudaMemPoolSetAttribute(found, cudaMemPoolAttrReleaseThreshold, &most),
                   "setting up the memory pool");
        return found;
    }();
    return pool;
}

}  // namespace

void* device_allocate(std::int64_t bytes) {
    const OnDevice on_device;
    memory_pool();
    void* memory = nullptr;
    const cudaError_t status = cudaMallocAsync(&memory, static_cast<std::size_t>(bytes), nullptr);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        std::size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        refuse_memory(bytes, device_free_bytes(), static_cast<std::int64_t>(total));
    }
    check_cuda(status, "allocating ", bytes, " bytes");
    const std::lock_guard<std::mutex> lock(allocations_mutex);
    allocations[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
    return memory;
}

void device_free(void* memory) noexcept {
    if (memory == nullptr) return;
    {
        const std::lock_guard<std::mutex> lock(allocations_mutex);
        allocations.erase(reinterpret_cast<std::uintptr_t>(memory));
    }
    try {
        const OnDevice on_device;
        check_cuda(cudaFreeAsync(memory, nullptr), "giving memory back");
    } catch (const DeviceFailure&) {  // of work that came before; one that stays is found by the next check
    }
}

void device_upload(void* to, const void* from_host, std::int64_t bytes) {
    const OnDevice on_device;
    check_cuda(cudaMemcpy(to, from_host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice), "an upload of ",
               bytes, " bytes");
}

void device_download(void* to_host, const void* from, std::int64_t bytes) {
    const OnDevice on_device;
    check_cuda(cudaMemcpy(to_host, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost), "a download of ",
               bytes, " bytes");
}

void device_copy(void* to, const void* from, std::int64_t bytes, int) {
    const OnDevice on_device;
    check_cuda(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice), "a copy of ", bytes,
               " bytes");
}

void device_clear(void* memory, std::int64_t bytes) {
    const OnDevice on_device;
    check_cuda(cudaMemset(memory, 0, static_cast<std::size_t>(bytes)), "clearing ", bytes, " bytes");
}

bool device_only(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const std::lock_guard<std::mutex> lock(allocations_mutex);
    const auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return false;
    const auto& [start, bytes] = *std::prev(after);
    return address - start < static_cast<std::uintptr_t>(bytes);
}

std::int64_t device_free_bytes() {
    const OnDevice on_device;
    std::size_t free = 0, total = 0;
    std::uint64_t reserved = 0, used = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "asking for free memory");
    check_cuda(cudaMemPoolGetAttribute(memory_pool(), cudaMemPoolAttrReservedMemCurrent, &reserved),
               "asking for the pool's memory");
    check_cuda(cudaMemPoolGetAttribute(memory_pool(), cudaMemPoolAttrUsedMemCurrent, &used),
               "asking for the pool's memory");
    return static_cast<std::int64_t>(free + (reserved - used));
}

Staging::Staging(std::int64_t bytes) : bytes_(bytes) {
    const OnDevice on_device;
    if (bytes == 0) return;
    void* memory = nullptr;
    check_cuda(cudaMallocHost(&memory, static_cast<std::size_t>(bytes)), "locking ", bytes, " bytes of the host");
    data_ = static_cast<unsigned char*>(memory);
    cudaEvent_t sent = nullptr;
    const cudaError_t status = cudaEventCreateWithFlags(&sent, cudaEventDisableTiming);
    if (status != cudaSuccess) cudaFreeHost(data_);
    check_cuda(status, "creating an event");
    sent_ = sent;
}

Staging::~Staging() {
    if (data_ == nullptr) return;
    try {
        const OnDevice on_device;
        wait();
        check_cuda(cudaEventDestroy(static_cast<cudaEvent_t>(sent_)), "giving an event back");
        check_cuda(cudaFreeHost(data_), "giving memory of the host back");
    } catch (const DeviceFailure&) {  // of work that came before; one that stays is found by the next check
    }
}

void Staging::send(void* to) {
    const OnDevice on_device;
    if (bytes_ == 0) return;
    check_cuda(cudaMemcpyAsync(to, data_, static_cast<std::size_t>(bytes_), cudaMemcpyHostToDevice, nullptr),
               "an upload of ", bytes_, " bytes");
    check_cuda(cudaEventRecord(static_cast<cudaEvent_t>(sent_), nullptr), "recording an event");
}

void Staging::wait() {
    const OnDevice on_device;
    if (bytes_ > 0) check_cuda(cudaEventSynchronize(static_cast<cudaEvent_t>(sent_)), "waiting for an upload");
}

}  // namespace fastcf
