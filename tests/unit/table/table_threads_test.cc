// One table asked from several threads at once, as the pool threads of a worker do.
#include "table/lmdb_table.h"
#include "table/table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace bulkhead
{
namespace
{

constexpr int thread_count = 4;
constexpr int rounds = 2000;

// Each thread asks for keys of its own; wrong answers of all of them.
int wrong_answers(Table& table, std::string_view prefix)
{
    std::atomic<int> wrong = 0;
    std::vector<std::jthread> threads;
    for (int number = 0; number < thread_count; ++number)
        threads.emplace_back([&, number] {
            const std::string key = fmt::format("key{}", number);
            const std::string expected = fmt::format("{}{}", prefix, number);
            for (int round = 0; round < rounds; ++round) {
                const Lookup answer = table.find(key);
                if (!answer.is_found() || answer.value() != expected)
                    ++wrong;
            }
        });
    threads.clear();
    return wrong;
}

int wrong_answers_of(std::string_view spec, std::string_view prefix)
{
    const auto table = open_table(spec);
    return table ? wrong_answers(**table, prefix) : -1;
}

struct Case {
    const char* name;
    std::string spec;
    std::string prefix;
};

class TableThreads : public testing::TestWithParam<Case>
{
};

TEST_P(TableThreads, EachGetsItsOwnAnswer)
{
    EXPECT_EQ(wrong_answers_of(GetParam().spec, GetParam().prefix), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Types, TableThreads,
    testing::Values(Case{"Pcre", "pcre:{{/^(k)(e)y(.)$/ ${1}${2}y-$3}}", "key-"},
                    Case{"Regexp", "regexp:{{/^(k)(e)y(.)$/ ${1}${2}y-$3}}", "key-"},
                    Case{"Inline", "inline:{key0=v0, key1=v1, key2=v2, key3=v3}", "v"},
                    Case{"Pipe", "pipemap:{inline:{key0=v0, key1=v1, key2=v2, key3=v3},pcre:{{/(.)$/ w$1}}}",
                         "w"},
                    Case{"Union", "unionmap:{inline:{key0=v0, key1=v1, key2=v2, key3=v3}}", "v"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(TableThreads, LmdbGivesEachItsOwnAnswer)
{
    std::string folder = testing::TempDir() + "/threads.XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    {
        auto writer = LmdbWriter::create(lmdb_path(folder + "/x"), "", false);
        ASSERT_TRUE(writer);
        for (int number = 0; number < thread_count; ++number)
            ASSERT_TRUE(writer->put(fmt::format("key{}", number), fmt::format("v{}", number),
                                    NulEnding::without, Duplicate::refuse));
        ASSERT_TRUE(writer->commit());
    }
    EXPECT_EQ(wrong_answers_of("lmdb:" + folder + "/x", "v"), 0);
    std::filesystem::remove_all(folder);
}

} // namespace
} // namespace bulkhead
