// Maildir and mbox delivery in a folder of its own below /tmp.  As root the tests act
// as another user, so that the change of identity is tested too.
#include "delivery/act_as.h"
#include "delivery/maildir.h"
#include "delivery/mbox.h"
#include "params.h"

#include "os/files.h"
#include "spool/record.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

namespace bulkhead
{
namespace
{

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();
constexpr uid_t test_uid = 54321;

class Mailbox : public testing::Test
{
protected:
    void SetUp() override
    {
        char name[] = "/tmp/bulkhead-virtual-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        base_ = name;
        owner_ = ::geteuid() == 0 ? MailboxOwner{test_uid, test_uid} : MailboxOwner{::geteuid(), ::getegid()};
        ASSERT_EQ(::chown(name, owner_.uid, owner_.gid), 0);
        message("Subject: hello\n\nFrom here\nto there\n");
    }
    void TearDown() override { fs::remove_all(base_); }

    void message(std::string_view text)
    {
        std::string records;
        while (!text.empty()) {
            const auto end = text.find('\n');
            append_text(records, text.substr(0, end));
            text.remove_prefix(end + 1);
        }
        append_record(records, RecordType::extracted_start, "");
        const fs::path file = base_ / "queue_file";
        std::ofstream(file) << records;
        source_.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        fs::remove(file);
        copy_.queue_file = source_.get();
        copy_.sender = "s@a.test";
        copy_.headers = delivery_headers("s@a.test", "r@b.test", "");
    }

    Result<std::string> maildir(std::string_view value, std::int64_t room = no_limit)
    {
        TRY(const MailboxPath path, MailboxPath::parse(base_.string(), value));
        TRY(const ActAs identity, ActAs::become(owner_));
        MaildirOptions options;
        options.host = "mx.example.test";
        options.room = room;
        return deliver_to_maildir(path, owner_, copy_, options);
    }

    Result<> mbox(std::string_view value, std::int64_t limit = no_limit)
    {
        TRY(const MailboxPath path, MailboxPath::parse(base_.string(), value));
        TRY(const ActAs identity, ActAs::become(owner_));
        MboxOptions options;
        options.locks.fcntl = options.locks.dotlock = true;
        options.limit = limit;
        return deliver_to_mbox(path, owner_, copy_, options);
    }

    std::string text_of(const fs::path& path) { return read_file((base_ / path).string()).value_or(""); }

    std::vector<std::string> names(const fs::path& folder)
    {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(base_ / folder))
            found.push_back(entry.path().filename());
        return found;
    }

    void give(const fs::path& path)
    {
        ASSERT_EQ(::lchown((base_ / path).c_str(), owner_.uid, owner_.gid), 0);
    }

    fs::path base_;
    MailboxOwner owner_;
    UniqueFd source_;
    MessageCopy copy_;
};

TEST_F(Mailbox, MaildirHoldsTheMessageWithItsHeaders)
{
    const auto name = maildir("dom/user/");
    ASSERT_TRUE(name) << name.error().context;
    EXPECT_THAT(*name,
                testing::ContainsRegex("^[0-9]+\\.V[0-9a-f]+I[0-9a-f]+M[0-9]+\\.mx\\.example\\.test$"));
    EXPECT_EQ(text_of("dom/user/new/" + *name),
              "Return-Path: <s@a.test>\nDelivered-To: r@b.test\nSubject: hello\n\nFrom here\nto there\n");
    EXPECT_THAT(names("dom/user/tmp"), IsEmpty());
    struct stat st{};
    ASSERT_EQ(::stat((base_ / "dom/user/new" / *name).c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, owner_.uid);
    EXPECT_EQ(st.st_mode & 07777, 0600u);
    ASSERT_EQ(::stat((base_ / "dom/user").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0700u);
}

TEST_F(Mailbox, MaildirNamesAreNeverUsedTwice)
{
    for (int i = 0; i < 50; ++i)
        ASSERT_TRUE(maildir("user/"));
    EXPECT_EQ(names("user/new").size(), 50u);
}

TEST_F(Mailbox, MaildirMessageOverTheLimitLeavesNothing)
{
    const auto name = maildir("user/", 20);
    ASSERT_FALSE(name);
    EXPECT_EQ(name.error().number, EFBIG);
    EXPECT_THAT(names("user/tmp"), IsEmpty());
    EXPECT_THAT(names("user/new"), IsEmpty());
}

TEST_F(Mailbox, MaildirRefusesSymbolicLinksEverywhere)
{
    fs::create_directories(base_ / "elsewhere");
    give("elsewhere");
    for (const char* link : {"user", "other/new", "third/tmp"}) {
        SCOPED_TRACE(link);
        fs::create_directories((base_ / link).parent_path());
        fs::create_directory_symlink(base_ / "elsewhere", base_ / link);
        give(link);
        give(fs::path(link).begin()->string());
        EXPECT_FALSE(maildir(fs::path(link).begin()->string() + "/"));
    }
    EXPECT_THAT(names("elsewhere"), IsEmpty());
}

TEST_F(Mailbox, MaildirOfAnotherUserIsRefused)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    for (const char* part : {"user/tmp", "user/new", "user/cur"}) {
        fs::create_directories(base_ / part);
        fs::permissions(base_ / part, fs::perms::all);
    }
    const auto name = maildir("user/");
    ASSERT_FALSE(name);
    EXPECT_THAT(name.error().context, HasSubstr("not owned"));
}

TEST_F(Mailbox, ActsAsTheOwner)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    fs::create_directories(base_ / "secret");
    fs::permissions(base_ / "secret", fs::perms::owner_all);
    const auto name = maildir("secret/user/");
    ASSERT_FALSE(name);
    EXPECT_EQ(name.error().number, EACCES);
}

TEST_F(Mailbox, MboxQuotesFromLinesAndKeepsWhatIsThere)
{
    ASSERT_TRUE(mbox("box"));
    ASSERT_TRUE(mbox("box"));
    const std::string text = text_of("box");
    EXPECT_THAT(text, StartsWith("From s@a.test  "));
    const auto second = text.find("\nFrom s@a.test  ");
    ASSERT_NE(second, std::string::npos);
    EXPECT_EQ(text[second - 1], '\n');
    EXPECT_THAT(text, EndsWith("Delivered-To: r@b.test\nSubject: hello\n\n>From here\nto there\n\n"));
    EXPECT_THAT(names(""), ElementsAre("box"));
}

TEST_F(Mailbox, MboxWithoutLineEndGetsOne)
{
    std::ofstream(base_ / "box") << "old";
    give("box");
    ASSERT_TRUE(mbox("box"));
    EXPECT_THAT(text_of("box"), StartsWith("old\nFrom "));
}

TEST_F(Mailbox, MboxOverTheLimitIsCutBack)
{
    std::ofstream(base_ / "box") << "old\n";
    give("box");
    message("Subject: large\n\n" + std::string(200'000, 'x') + "\n" + std::string(200'000, 'y') + "\n");
    const auto result = mbox("box", 300'000);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().number, EFBIG);
    EXPECT_EQ(text_of("box"), "old\n");
    EXPECT_THAT(names(""), ElementsAre("box"));
}

TEST_F(Mailbox, MboxRefusesLinksAndOtherKindsOfFiles)
{
    std::ofstream(base_ / "victim") << "precious\n";
    give("victim");
    fs::create_symlink(base_ / "victim", base_ / "soft");
    fs::create_hard_link(base_ / "victim", base_ / "hard");
    ASSERT_EQ(::mkfifo((base_ / "pipe").c_str(), 0600), 0);
    give("pipe");
    for (const char* name : {"soft", "hard", "pipe"})
        EXPECT_FALSE(mbox(name)) << name;
    EXPECT_EQ(text_of("victim"), "precious\n");
}

TEST_F(Mailbox, MboxThatIsLockedIsLeftAlone)
{
    std::ofstream(base_ / "box.lock").close();
    give("box.lock");
    const auto result = mbox("box");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().fault, Fault::timeout);
    EXPECT_FALSE(fs::exists(base_ / "box"));
}

TEST_F(Mailbox, MboxIgnoresAnOldDotlock)
{
    std::ofstream(base_ / "box.lock").close();
    give("box.lock");
    const timespec old[2] = {{1'000'000, 0}, {1'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (base_ / "box.lock").c_str(), old, 0), 0);
    EXPECT_TRUE(mbox("box"));
}

TEST(MailboxPath, RefusesWaysOutOfTheBase)
{
    for (const char* value : {"..", "../x", "a/../../x/", "a/..", "", "/", "./"})
        EXPECT_FALSE(MailboxPath::parse("/var/mail", value)) << value;
    EXPECT_FALSE(MailboxPath::parse("", "relative"));
    EXPECT_FALSE(MailboxPath::parse("relative", "x"));
    EXPECT_FALSE(MailboxPath::parse("/var/mail", std::string_view("a\0b", 3)));
}

TEST(MailboxPath, FinalSlashMeansMaildir)
{
    const auto maildir = MailboxPath::parse("/var/mail", "dom//user/");
    ASSERT_TRUE(maildir);
    EXPECT_TRUE(maildir->is_maildir());
    EXPECT_THAT(maildir->folders, ElementsAre("dom", "user"));
    const auto file = MailboxPath::parse("", "/var/mail/user");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->file, "user");
    EXPECT_THAT(file->folders, ElementsAre("var", "mail"));
}

TEST_F(Mailbox, FindsWhereTheMessageHasBeen)
{
    message("Delivered-To: A@b.test\nSubject: x\nDelivered-To:\n c@d.test\n\nDelivered-To: body@x.test\n");
    const auto stops = delivered_to(source_.get(), 0);
    ASSERT_TRUE(stops);
    EXPECT_THAT(*stops, ElementsAre("a@b.test", "c@d.test"));
}

TEST(DeliveryHeaders, NameTheOriginalWhenItIsKnown)
{
    EXPECT_EQ(delivery_headers("", "r@b.test", ""), "Return-Path: <>\nDelivered-To: r@b.test\n");
    EXPECT_EQ(delivery_headers("", "r@b.test", "r@b.test"),
              "Return-Path: <>\nX-Original-To: r@b.test\nDelivered-To: r@b.test\n");
    EXPECT_EQ(delivery_headers("s@a.test", "r@b.test", "alias@b.test"),
              "Return-Path: <s@a.test>\nX-Original-To: alias@b.test\nDelivered-To: r@b.test\n");
}

TEST(VirtualParams, AgreeWithTheTableOfKnownNames)
{
    EXPECT_THAT(VirtualParams().disagreements(), IsEmpty());
}

} // namespace
} // namespace bulkhead
