#include "spool/paths.h"

#include "support.h"

namespace bulkhead
{

TEST(Queues, HaveTheirNames)
{
    for (const Queue queue : all_queues)
        EXPECT_EQ(queue_from_name(queue_name(queue)), queue);
    EXPECT_FALSE(queue_from_name("pid"));
}

TEST(HashNames, AreParsed)
{
    EXPECT_EQ(*QueueSet::parse_hash_names("deferred, defer"), (QueueSet{Queue::deferred, Queue::defer}));
    EXPECT_TRUE(QueueSet::parse_hash_names("")->empty());
    EXPECT_FALSE(QueueSet::parse_hash_names("deferred nonsense"));
    EXPECT_FALSE(QueueSet::parse_hash_names("maildrop"));
}

class Tree : public SpoolTest
{
protected:
    SpoolOwners owners() const { return {::geteuid(), ::getegid(), ::getegid()}; }
    Result<> ensure() const { return ensure_spool(spool_.layout(), owners()); }
};

TEST_F(Tree, HasTheModesOfTheFormat)
{
    EXPECT_EQ(mode_of(""), 0700u); // mkdtemp made the root: it is only checked
    EXPECT_EQ(mode_of("maildrop"), 0730u);
    EXPECT_EQ(mode_of("incoming"), 0700u);
    EXPECT_EQ(mode_of("public"), 0710u);
    EXPECT_EQ(mode_of("private"), 0700u);
    EXPECT_EQ(mode_of("pid"), 0755u);
    EXPECT_TRUE(check_spool(spool_.layout(), owners()).empty());
}

TEST_F(Tree, IsRepaired)
{
    std::filesystem::remove(path("trace"));
    ::chmod(path("active").c_str(), 0777);
    ::chmod(path("maildrop").c_str(), 01777);
    EXPECT_EQ(check_spool(spool_.layout(), owners()).size(), 3u);
    ASSERT_TRUE(ensure());
    EXPECT_EQ(mode_of("trace"), 0700u);
    EXPECT_EQ(mode_of("active"), 0700u);
    EXPECT_EQ(mode_of("maildrop"), 01730u); // the sticky bit of a package stays
    ASSERT_TRUE(ensure());
    EXPECT_TRUE(check_spool(spool_.layout(), owners()).empty());
}

TEST_F(Tree, GivesDirectoriesToTheMailOwner)
{
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    ASSERT_TRUE(ensure_spool(spool_.layout(), {12345, 12346, 12347}));
    const auto incoming = file_info(spool_, "incoming");
    EXPECT_EQ(incoming->owner, 12345u);
    struct stat st{};
    ::stat(path("maildrop").c_str(), &st);
    EXPECT_EQ(st.st_gid, 12347u);
    ASSERT_TRUE(spool_.make_parents("deferred/A/AAAAAA"));
    ::stat(path("deferred/A").c_str(), &st);
    EXPECT_EQ(st.st_uid, 12345u);
    ::stat(path("pid").c_str(), &st);
    EXPECT_EQ(st.st_uid, 0u);
}

TEST_F(Tree, RefusesASymbolicLink)
{
    std::filesystem::remove(path("hold"));
    std::filesystem::create_directory_symlink("/tmp", path("hold"));
    const auto made = ensure();
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().context.find("/hold is not a directory"), std::string::npos)
        << made.error().context;
}

TEST_F(Tree, RefusesARootThatOthersMayWriteTo)
{
    ::chmod(root_.c_str(), 0777);
    EXPECT_FALSE(ensure());
}

TEST_F(Tree, MakesTheRoot)
{
    SpoolLayout layout = spool_.layout();
    layout.root += "/inner";
    ASSERT_TRUE(ensure_spool(layout, owners()));
    EXPECT_EQ(mode_of("inner"), 0755u);
    layout.root += "/a/b";
    EXPECT_EQ(ensure_spool(layout, owners()).error().fault, Fault::not_found);
    EXPECT_FALSE(Spool::open(layout));
}

TEST_F(Tree, HashesWhatTheLayoutSays)
{
    EXPECT_EQ(spool_.path_of(Queue::deferred, id_of("4jXKp61d0Jz1bgHB")), "deferred/3/4jXKp61d0Jz1bgHB");
    EXPECT_EQ(spool_.path_of(Queue::incoming, id_of("25346A76AFF")), "incoming/25346A76AFF");
    SpoolLayout layout = spool_.layout();
    layout.hash_depth = 2;
    EXPECT_EQ(Spool::open(layout)->path_of(Queue::defer, id_of("25346A76AFF")), "defer/2/5/25346A76AFF");
}

} // namespace bulkhead
