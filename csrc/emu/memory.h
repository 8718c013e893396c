// Emulated device memory: every word remembers whether it was ever written, and who touched it last, so that reads of
// what nobody wrote, accesses out of bounds and races are reported where they happen.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fastcf::emu {

// When and by whom a word was touched. Accesses of one launch are ordered where the same thread makes both, where both
// are in one block and a block barrier stands between them, or in one warp and a warp barrier does.
struct Access {
    std::uint32_t launch = 0;  // 0: never
    std::uint32_t block = 0;
    std::int32_t thread = 0;  // in its block; below 0: several
    std::uint32_t block_barriers = 0;
    std::uint32_t warp_barriers = 0;
    bool atomic = false;
};

inline constexpr std::int32_t kManyThreads = -1, kManyBlocks = -2;
inline constexpr std::int32_t kManyLanes = -3;  // several of warp 0; -4: of warp 1, and so on

enum class Touch { read, write, atomic };

struct Word {
    Access write, read;
    bool written = false;
};

// A stretch of memory of one kind with its words' history; global memory, or a shared array of one block.
class Region {
  public:
    Region(std::string name, std::int64_t bytes);
    ~Region();
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;

    unsigned char* memory() { return memory_; }
    std::int64_t bytes() const { return bytes_; }
    const std::string& name() const { return name_; }
    void mark_written(std::int64_t offset, std::int64_t bytes);
    // Poisons the memory and forgets its history.
    void forget();

    // Throws Fault unless an access of the current thread to these bytes is in bounds, aligned, reads what was written
    // and races with no other.
    void touch(std::int64_t offset, std::int64_t bytes, Touch what);

  private:
    void touch_word(std::int64_t word, Touch what, bool whole);

    std::string name_;
    unsigned char* memory_;
    std::int64_t bytes_;
    std::vector<Word> words_;
};

// The region a device pointer leads into, and where in it; device pointers are addresses that the host cannot read.
struct Place {
    Region* region = nullptr;
    std::int64_t offset = 0;
};
Place find_place(const void* device_pointer);

// How much memory the emulated device has.
inline constexpr std::int64_t kDefaultMemory = std::int64_t{16} << 30;
void set_memory(std::int64_t bytes);

}  // namespace fastcf::emu
