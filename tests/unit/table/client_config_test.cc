#include "table/client_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead
{
namespace
{

using testing::ElementsAre;

class Definition
{
public:
    explicit Definition(std::string_view text, const char* file = "x.cf")
    {
        std::string name = testing::TempDir() + "/client.XXXXXX";
        folder = ::mkdtemp(name.data());
        path = folder + "/" + file;
        std::ofstream(path) << text;
    }
    ~Definition() { std::filesystem::remove_all(folder); }
    std::string folder;
    std::string path;
};

TEST(ClientConfig, TakesValuesAsTheyAre)
{
    const Definition file(
        "# comment\npassword = se$cret $$ ${x} %s\nhosts = a,\n  b c\nlimit = 7\nwait = 2m\nyes = no\n");
    auto config = ClientConfig::read(file.path);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->text("password"), "se$cret $$ ${x} %s");
    EXPECT_THAT(config->list("hosts"), ElementsAre("a", "b", "c"));
    EXPECT_THAT(config->list("nosuch", "x y"), ElementsAre("x", "y"));
    EXPECT_EQ(config->number("limit", 1, 0, 10), 7);
    EXPECT_EQ(config->seconds("wait", 1), 120);
    EXPECT_FALSE(config->flag("yes", true));
    EXPECT_TRUE(config->verdict());
}

TEST(ClientConfig, NamesTheFirstBadLine)
{
    const Definition file("a = 1\nlimit = 99\nwait = soon\n");
    auto config = ClientConfig::read(file.path);
    ASSERT_TRUE(config);
    EXPECT_EQ(config->number("limit", 1, 0, 10), 1);
    EXPECT_EQ(config->seconds("wait", 5), 5);
    ASSERT_FALSE(config->verdict());
    EXPECT_EQ(config->verdict().error().context, file.path + ", line 2: limit: 99 is not between 0 and 10");
}

TEST(ClientConfig, SaysWhichFileIsMissing)
{
    const auto config = ClientConfig::read("/nonexistent/x.cf");
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().context, testing::HasSubstr("/nonexistent/x.cf"));
}

TEST(ClientConfig, ReadsParametersOfMainCf)
{
    const Definition file("myname = here\nold_hosts = $myname\nold_password = a$$b\n", "main.cf");
    set_main_cf_of_tables(file.folder);
    auto config = ClientConfig::read("old");
    set_main_cf_of_tables({});
    ASSERT_TRUE(config) << config.error().context;
    EXPECT_EQ(config->text("hosts"), "here");
    EXPECT_EQ(config->text("password"), "a$b");
    EXPECT_FALSE(config->has("user"));
}

} // namespace
} // namespace bulkhead
