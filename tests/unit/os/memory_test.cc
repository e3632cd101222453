#include "os/memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

constexpr std::size_t page = 4096;

std::size_t resident_pages()
{
    std::size_t size = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident;
}

TEST(StartMemory, WhatTheHeapDoesNotNeedGoesBack)
{
#ifdef BULKHEAD_SANITIZED
    GTEST_SKIP() << "the sanitizer has a heap of its own";
#endif
    constexpr std::size_t count = 4000;
    std::vector<std::unique_ptr<std::string>> blocks;
    for (std::size_t i = 0; i < count; ++i)
        blocks.push_back(std::make_unique<std::string>(page, 'x'));
    auto last = std::move(blocks.back()); // behind all others: the heap cannot just end earlier
    blocks.clear();
    const std::size_t before = resident_pages();
    release_start_memory();
    EXPECT_LT(resident_pages() + count / 2, before);
    EXPECT_EQ(*last, std::string(page, 'x'));
}

TEST(StartMemory, TheProgramAndItsConstantsAreStillThere)
{
    const std::string before = std::to_string(4711) + "text";
    for (int i = 0; i < 3; ++i)
        release_start_memory();
    EXPECT_EQ(std::to_string(4711) + "text", before);
    EXPECT_THROW((void)std::stoi("none"), std::invalid_argument); // unwinds through tables of constants
}

} // namespace
} // namespace bulkhead
