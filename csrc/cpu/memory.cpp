#include "core/memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/aligned.h"
#include "core/parallel.h"

namespace fastcf {

void* device_allocate(std::int64_t bytes) {
    const auto alignment = static_cast<std::int64_t>(kAlignment);
    void* memory =
        std::aligned_alloc(kAlignment, static_cast<std::size_t>((bytes + alignment - 1) / alignment * alignment));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

void device_free(void* memory) noexcept {
    std::free(memory);
}

// Nothing may lie nowhere: memcpy wants no null pointers, even for no bytes.
void device_upload(void* to, const void* from_host, std::int64_t bytes) {
    if (bytes > 0) std::memcpy(to, from_host, static_cast<std::size_t>(bytes));
}

void device_download(void* to_host, const void* from, std::int64_t bytes) {
    if (bytes > 0) std::memcpy(to_host, from, static_cast<std::size_t>(bytes));
}

void device_copy(void* to, const void* from, std::int64_t bytes, int n_threads) {
    parallel_chunks(bytes, std::int64_t{1} << 20, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                    static_cast<std::size_t>(end - begin));
    });
}

void device_clear(void* memory, std::int64_t bytes) {
    if (bytes > 0) std::memset(memory, 0, static_cast<std::size_t>(bytes));
}

bool device_only(const void*) {
    return false;
}

std::int64_t device_free_bytes() {
    return std::int64_t{sysconf(_SC_AVPHYS_PAGES)} * std::int64_t{sysconf(_SC_PAGESIZE)};
}

Staging::Staging(std::int64_t bytes)
    : data_(bytes == 0 ? nullptr : static_cast<unsigned char*>(device_allocate(bytes))), bytes_(bytes) {}

Staging::~Staging() {
    device_free(data_);
}

void Staging::send(void* to) {
    if (bytes_ > 0) device_upload(to, data_, bytes_);
}

void Staging::wait() {}

}  // namespace fastcf
