// Kernels that are wrong on purpose, one per kind of mistake the emulation must report, and right ones that look like
// them.
#pragma once

#include <string>
#include <vector>

namespace fastcf::emu {

std::vector<std::string> planted_faults();

// Runs the kernel of this name: throws Fault for a wrong one, and std::logic_error when a right one gives wrong
// results.
void run_planted(const std::string& name);

}  // namespace fastcf::emu
