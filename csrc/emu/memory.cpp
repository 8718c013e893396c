// Device memory for the emulation: core/memory.h.
#include "core/memory.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "emu/launch.h"
#include "emu/memory.h"

namespace fastcf {
namespace emu {
namespace {

constexpr std::int64_t kWordBytes = 4;
constexpr unsigned char kPoison = 0xa5;  // as a float −2.9e-16, as an index far out of bounds
constexpr std::int64_t kGlobalAlignment = 256;
// Device addresses have a bit that no address of a process has: to follow one on the host is a segmentation fault.
constexpr std::uintptr_t kDeviceBit = std::uintptr_t{1} << 62;

std::mutex regions_mutex;
std::map<std::uintptr_t, std::unique_ptr<Region>> regions;  // by device address
std::int64_t total_bytes = kDefaultMemory, used_bytes = 0;

// Of which warp the access is, -1 where of several.
std::int32_t warp_of(const Access& access) {
    return access.thread >= 0 ? access.thread / 32 : access.thread <= kManyLanes ? kManyLanes - access.thread : -1;
}

// Whether an access of `before` and one of the thread `now` stand in an order.
bool ordered(const Access& before, const Access& now) {
    if (before.launch != now.launch) return true;
    if (before.thread == kManyBlocks || before.block != now.block) return false;
    if (before.thread == now.thread || before.block_barriers < now.block_barriers) return true;
    return warp_of(before) == warp_of(now) && before.warp_barriers < now.warp_barriers;
}

std::string whose(const Access& access) {
    if (access.thread == kManyBlocks) return "threads of several blocks";
    if (access.thread == kManyThreads) return concat("several threads of block ", access.block);
    if (access.thread < 0) return concat("several lanes of warp ", warp_of(access), " of block ", access.block);
    return concat("thread ", access.thread, " of block ", access.block);
}

}  // namespace

Region::Region(std::string name, std::int64_t bytes)
    : name_(std::move(name)),
      memory_(static_cast<unsigned char*>(std::aligned_alloc(
          kGlobalAlignment, static_cast<std::size_t>((bytes / kGlobalAlignment + 1) * kGlobalAlignment)))),
      bytes_(bytes),
      words_(static_cast<std::size_t>((bytes + kWordBytes - 1) / kWordBytes)) {
    if (memory_ == nullptr) throw std::bad_alloc();
    std::memset(memory_, kPoison, static_cast<std::size_t>(bytes_));
}

Region::~Region() {
    std::free(memory_);
}

void Region::mark_written(std::int64_t offset, std::int64_t bytes) {
    for (std::int64_t word = offset / kWordBytes; word * kWordBytes < offset + bytes; ++word)
        words_[static_cast<std::size_t>(word)].written = true;
}

void Region::forget() {
    std::memset(memory_, kPoison, static_cast<std::size_t>(bytes_));
    for (Word& word : words_) word = Word{};
}

void Region::touch(std::int64_t offset, std::int64_t bytes, Touch what) {
    if (offset < 0 || offset + bytes > bytes_) [[unlikely]]
        fault(concat(what == Touch::read ? "reads" : "writes", " out of bounds: bytes ", offset, " to ", offset + bytes,
                     " of ", name_, ", which has ", bytes_));
    if (offset % bytes != 0) [[unlikely]]
        fault(concat("touches ", bytes, " bytes at offset ", offset, " of ", name_, ": not aligned"));
    if (what == Touch::atomic && bytes < kWordBytes) fault(concat("uses an atomic function on ", bytes, " bytes"));
    for (std::int64_t word = offset / kWordBytes; word * kWordBytes < offset + bytes; ++word)
        touch_word(word, what, bytes >= kWordBytes);
}

// Words that several threads may share (`whole` is false) are not looked at for races.
void Region::touch_word(std::int64_t index, Touch what, bool whole) {
    Word& word = words_[static_cast<std::size_t>(index)];
    if (what != Touch::write && !word.written) [[unlikely]]
        fault(concat("reads bytes ", index * kWordBytes, " to ", (index + 1) * kWordBytes, " of ", name_,
                     ", which nobody has written"));
    if (what != Touch::read) word.written = true;
    if (!whole) return;
    Access now = current_access();
    now.atomic = what == Touch::atomic;
    const bool both_atomic = now.atomic && word.write.atomic;
    if (!both_atomic && word.write.launch == now.launch && !ordered(word.write, now)) [[unlikely]]
        fault(concat(what == Touch::read ? "reads" : "writes", " bytes ", index * kWordBytes, " to ",
                     (index + 1) * kWordBytes, " of ", name_, ", which ", whose(word.write),
                     " writes with no barrier between: a race"));
    if (what != Touch::read && !(now.atomic && word.read.atomic) && word.read.launch == now.launch &&
        !ordered(word.read, now)) [[unlikely]]
        fault(concat("writes bytes ", index * kWordBytes, " to ", (index + 1) * kWordBytes, " of ", name_, ", which ",
                     whose(word.read), " read with no barrier between: a race"));
    if (what != Touch::read) {
        word.write = now;
        return;
    }
    const bool others = word.read.launch == now.launch && !ordered(word.read, now);
    if (others)
        now.thread = word.read.thread == kManyBlocks || word.read.block != now.block ? kManyBlocks
                     : warp_of(word.read) == warp_of(now)                            ? kManyLanes - warp_of(now)
                                                                                     : kManyThreads;
    word.read = now;
}

Place find_place(const void* device_pointer) {
    if (device_pointer == nullptr) return {};
    const auto address = reinterpret_cast<std::uintptr_t>(device_pointer);
    const std::lock_guard<std::mutex> lock(regions_mutex);
    auto region = regions.upper_bound(address);
    if (region == regions.begin()) return {};
    --region;
    const auto offset = static_cast<std::int64_t>(address - region->first);
    if (offset > region->second->bytes()) return {};
    return {region->second.get(), offset};
}

namespace {

// Where the bytes lie on the host. Throws for a pointer that is none of the device's.
unsigned char* bytes_at(const void* device_pointer, std::int64_t bytes, bool write) {
    const Place place = find_place(device_pointer);
    if (place.region == nullptr || place.offset + bytes > place.region->bytes())
        throw Fault("a copy of memory reaches out of what device_allocate gave");
    if (write) place.region->mark_written(place.offset, bytes);
    return place.region->memory() + place.offset;
}

}  // namespace

void set_memory(std::int64_t bytes) {
    const std::lock_guard<std::mutex> lock(regions_mutex);
    total_bytes = bytes;
}

}  // namespace emu

void* device_allocate(std::int64_t bytes) {
    if (bytes > device_free_bytes()) refuse_memory(bytes, device_free_bytes(), emu::total_bytes);
    auto region = std::make_unique<emu::Region>(concat("an allocation of ", bytes, " bytes"), bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(region->memory()) | emu::kDeviceBit;
    const std::lock_guard<std::mutex> lock(emu::regions_mutex);
    emu::regions[address] = std::move(region);
    emu::used_bytes += bytes;
    return reinterpret_cast<void*>(address);
}

void device_free(void* memory) noexcept {
    const std::lock_guard<std::mutex> lock(emu::regions_mutex);
    const auto found = emu::regions.find(reinterpret_cast<std::uintptr_t>(memory));
    if (found == emu::regions.end()) return;
    emu::used_bytes -= found->second->bytes();
    emu::regions.erase(found);
}

void device_upload(void* to, const void* from_host, std::int64_t bytes) {
    std::memcpy(emu::bytes_at(to, bytes, true), from_host, static_cast<std::size_t>(bytes));
}

void device_download(void* to_host, const void* from, std::int64_t bytes) {
    std::memcpy(to_host, emu::bytes_at(from, bytes, false), static_cast<std::size_t>(bytes));
}

void device_copy(void* to, const void* from, std::int64_t bytes, int) {
    std::memmove(emu::bytes_at(to, bytes, true), emu::bytes_at(from, bytes, false), static_cast<std::size_t>(bytes));
}

void device_clear(void* memory, std::int64_t bytes) {
    std::memset(emu::bytes_at(memory, bytes, true), 0, static_cast<std::size_t>(bytes));
}

bool device_only(const void* pointer) {
    return (reinterpret_cast<std::uintptr_t>(pointer) & emu::kDeviceBit) != 0;
}

std::int64_t device_free_bytes() {
    const std::lock_guard<std::mutex> lock(emu::regions_mutex);
    return emu::total_bytes - emu::used_bytes;
}

// A GPU reads the memory at some time before `wait`: what stands there then must be what was sent.
Staging::Staging(std::int64_t bytes) : bytes_(bytes) {
    auto sent = std::make_unique<std::vector<unsigned char>>();
    data_ = new unsigned char[static_cast<std::size_t>(bytes)];
    sent_ = sent.release();
}

Staging::~Staging() {
    delete static_cast<std::vector<unsigned char>*>(sent_);
    delete[] data_;
}

void Staging::send(void* to) {
    auto& sent = *static_cast<std::vector<unsigned char>*>(sent_);
    if (!sent.empty()) throw emu::Fault("memory is sent again before the host waited for it to arrive");
    sent.assign(data_, data_ + bytes_);
    if (bytes_ > 0) device_upload(to, data_, bytes_);
}

void Staging::wait() {
    auto& sent = *static_cast<std::vector<unsigned char>*>(sent_);
    if (!sent.empty() && std::memcmp(sent.data(), data_, sent.size()) != 0)
        throw emu::Fault("the host wrote memory that was still being sent");
    sent.clear();
}

}  // namespace fastcf
