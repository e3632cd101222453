#include "spool/file_pool.h"

#include "spool/lock.h"
#include "spool/new_file.h"
#include "support.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace bulkhead
{

class FilePoolTest : public SpoolTest
{
protected:
    // A complete message; its path relative to the root.
    std::string message(const std::string& text = "a message", FilePool* pool = nullptr)
    {
        auto file = NewQueueFile::create(spool_, Queue::incoming, {.pool = pool});
        EXPECT_TRUE(file && file->append(text));
        return spool_.path_of(Queue::incoming, *std::move(*file).commit());
    }
    std::set<std::string> spares()
    {
        std::set<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(path("recycled")))
            names.insert(entry.path().filename());
        return names;
    }
};

TEST_F(FilePoolTest, AFileServesAgain)
{
    FilePool pool(spool_);
    const std::string old = message("something that nobody must see again");
    const auto inode = file_info(spool_, old)->inode;
    ASSERT_TRUE(pool.give(old));
    EXPECT_FALSE(file_info(spool_, old));
    ASSERT_EQ(spares().size(), 1u);
    EXPECT_EQ(file_info(spool_, "recycled/" + *spares().begin())->size, 0);

    const std::string fresh = message("new", &pool);
    EXPECT_EQ(file_info(spool_, fresh)->inode, inode);
    EXPECT_EQ(bytes_of(path(fresh)), "new");
    EXPECT_EQ(mode_of(fresh), 0700u);
    EXPECT_TRUE(spares().empty());
}

TEST_F(FilePoolTest, TheNewIdHasTheInode)
{
    FilePool pool(spool_);
    ASSERT_TRUE(pool.give(message()));
    auto file = NewQueueFile::create(spool_, Queue::incoming, {.pool = &pool});
    ASSERT_TRUE(file);
    EXPECT_EQ(file->id().inode(), file_info(spool_, spool_.path_of(Queue::incoming, file->id()))->inode);
    EXPECT_EQ(mode_of(spool_.path_of(Queue::incoming, file->id())), 0600u); // unfinished
}

TEST_F(FilePoolTest, AFileThatSomebodyReadsStaysAndIsNotTaken)
{
    FilePool pool(spool_);
    const std::string busy = message();
    const auto reader = open_queue_file(spool_, busy);
    ASSERT_TRUE(*try_lock(reader->fd.get(), FileLock::shared));
    EXPECT_FALSE(pool.give(busy));
    EXPECT_TRUE(file_info(spool_, busy));

    const std::string given = message();
    const auto late = open_queue_file(spool_, given);
    ASSERT_TRUE(pool.give(given));
    ASSERT_TRUE(*try_lock(late->fd.get(), FileLock::shared));
    EXPECT_FALSE(pool.take());
}

TEST_F(FilePoolTest, KeepsNoMoreThanItsLimit)
{
    FilePool pool(spool_, 3);
    int kept = 0;
    for (int i = 0; i < 6; ++i)
        kept += pool.give(message());
    EXPECT_EQ(kept, 3);
    EXPECT_EQ(spares().size(), 3u);
}

TEST_F(FilePoolTest, WhatACrashHasLeftIsNeverUsed)
{
    FilePool pool(spool_);
    for (const int mode : {0600, 0700}) {
        const std::string name = path("recycled/left" + std::to_string(mode));
        std::ofstream(name) << (mode == 0600 ? "old text" : "");
        std::filesystem::permissions(name, std::filesystem::perms(mode));
    }
    EXPECT_FALSE(pool.take());
    EXPECT_TRUE(spares().empty());
}

TEST_F(FilePoolTest, LinksAreNeitherGivenNorTaken)
{
    FilePool pool(spool_);
    const std::string twice = message();
    std::filesystem::create_hard_link(path(twice), path("saved/second"));
    EXPECT_FALSE(pool.give(twice));
    std::filesystem::create_symlink(path("saved/second"), path("recycled/link"));
    EXPECT_FALSE(pool.take());
    EXPECT_EQ(bytes_of(path("saved/second")), "a message");
}

TEST_F(FilePoolTest, WithoutItsFolderFilesAreMadeAndRemovedAsEver)
{
    std::filesystem::remove(path("recycled"));
    FilePool pool(spool_);
    EXPECT_FALSE(pool.give(message("a", &pool)));
    EXPECT_FALSE(pool.take());
}

// Many threads of two processes' worth of pools: no file is ever with two owners.
TEST_F(FilePoolTest, NoFileHasTwoOwners)
{
    FilePool one(spool_), two(spool_);
    std::atomic<int> wrong = 0, recycled = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&, t] {
                FilePool& pool = t % 2 ? one : two;
                for (int i = 0; i < 100; ++i) {
                    const std::string text = std::to_string(t) + ":" + std::to_string(i);
                    const std::string file = message(text, &pool);
                    wrong += bytes_of(path(file)) != text;
                    recycled += pool.give(file);
                }
            });
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_GT(recycled, 100);
}

} // namespace bulkhead
