// The n best (score, index) pairs of a stream: a buffer with room for more than n, cut back to the n best whenever it
// is full. Adding costs O(1) amortised for any n, which a heap does not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>

#include "math/order.h"

namespace fastcf {

class TopList {
  public:
    // How many keys the buffer must hold to keep the n best of a stream of at most `stream` pairs.
    static std::int64_t capacity_for(std::int64_t n, std::int64_t stream) {
        return std::min(stream, n + std::max<std::int64_t>(n / 2, kSlack)) + 1;
    }

    TopList() = default;
    TopList(std::uint64_t* buffer, std::int64_t capacity, std::int64_t n)
        : buffer_(buffer), capacity_(capacity), n_(n) {}

    // Keys at or below it no longer enter.
    std::uint64_t floor() const { return floor_; }
    // A score enters only if it is greater, or if this is NaN (still filling).
    float threshold() const { return floor_ == kNoRank ? std::numeric_limits<float>::quiet_NaN() : rank_score(floor_); }

    void push(std::uint64_t key) {
        buffer_[size_++] = key;
        if (size_ == capacity_) cut();
    }

    // Keeps the n best, unordered; returns how many there are.
    std::int64_t cut() {
        if (size_ >= n_ && n_ > 0) {
            std::nth_element(buffer_, buffer_ + (n_ - 1), buffer_ + size_, std::greater<>());
            size_ = n_;
            floor_ = buffer_[n_ - 1];
        }
        return size_;
    }

    // Keeps the n best in order; returns how many there are.
    std::int64_t finish() {
        cut();
        std::sort(buffer_, buffer_ + size_, std::greater<>());
        return size_;
    }

  private:
    static constexpr std::int64_t kSlack = 16;

    std::uint64_t* buffer_ = nullptr;
    std::int64_t capacity_ = 0;
    std::int64_t n_ = 0;
    std::int64_t size_ = 0;
    std::uint64_t floor_ = kNoRank;
};

}  // namespace fastcf
