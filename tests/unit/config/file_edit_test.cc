#include "config/file_edit.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace bulkhead
{
namespace
{

using enum FileEdit::Kind;

struct Case {
    const char* name;
    std::string before;
    std::vector<FileEdit> edits;
    std::string after;
};

class EditMainCf : public testing::TestWithParam<Case>
{
};

TEST_P(EditMainCf, Text)
{
    EXPECT_EQ(edit_text(GetParam().before, main_cf_key, GetParam().edits), GetParam().after);
}

INSTANTIATE_TEST_SUITE_P(
    FileEdit, EditMainCf,
    testing::Values(
        Case{"Replaces", "a = 1\nb=2\n", {{"b", replace, "b = 3"}}, "a = 1\nb = 3\n"},
        Case{"Appends", "a = 1", {{"b", replace, "b = 3"}}, "a = 1\nb = 3\n"},
        Case{"ReplacesEveryOne", "a = 1\n#a\na = 2\n", {{"a", replace, "a = 3"}}, "a = 3\n#a\na = 3\n"},
        Case{"KeepsAMissingLineEnd", "a = 1\nb = 2", {{"a", replace, "a = 3"}}, "a = 3\nb = 2"},
        Case{"LeavesLinesThatContinueNothing", "  a = 1\na = 2\n", {{"a", remove, ""}}, "  a = 1\n"},
        Case{"CommentsOutTheLastLine", "a = 1", {{"a", comment_out, ""}}, "#a = 1"},
        Case{"ReplacesContinuationButKeepsComments",
             "a = 1,\n# why\n  2\n\nb = 1\n",
             {{"a", replace, "a = 3"}},
             "a = 3\n# why\n\nb = 1\n"},
        Case{"RemovesAll", "a = 1\n b\nc = 1\na = 2\n", {{"a", remove, ""}}, "c = 1\n"},
        Case{"CommentsOut", "a = 1\n  b\nc = 1\n", {{"a", comment_out, ""}}, "#a = 1\n#  b\nc = 1\n"},
        Case{"LastEditCounts", "", {{"a", replace, "a = 1"}, {"a", replace, "a = 2"}}, "a = 2\n"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(FileEdit, MasterServicesAreKeyedByNameAndType)
{
    const std::string before = "smtp inet n - - - - smtpd\n  -o a=b\nsmtp unix - - - - - smtp\n";
    EXPECT_EQ(edit_text(before, master_cf_key, {{"smtp/inet", remove, ""}}), "smtp unix - - - - - smtp\n");
}

TEST(FileEdit, ReplacedFileKeepsModeAndLink)
{
    const std::string folder = testing::TempDir() + "/file_edit";
    std::filesystem::create_directory(folder);
    std::ofstream(folder + "/real") << "old";
    ::chmod((folder + "/real").c_str(), 0640);
    std::filesystem::create_symlink("real", folder + "/link");
    const auto change = [](std::string_view text) -> Result<std::string> {
        return std::string(text) + " and new";
    };
    ASSERT_TRUE(rewrite_file(folder + "/link", 100, change));
    std::ifstream in(folder + "/real");
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_EQ(text.str(), "old and new");
    EXPECT_TRUE(std::filesystem::is_symlink(folder + "/link"));
    struct stat status{};
    ASSERT_EQ(::stat((folder + "/real").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0640u);
    std::filesystem::remove_all(folder);
}

} // namespace
} // namespace bulkhead
