#include "mail/notice_templates.h"
#include "main_cf_remarks.h"
#include "options.h"
#include "printing.h"

#include <gtest/gtest.h>

namespace bulkhead::postconf
{
namespace
{

TEST(Printing, FoldsAtEightyColumns)
{
    const std::string fits = std::string(75, 'a') + " bbbb";
    EXPECT_EQ(joined_words(fits, true), fits);
    EXPECT_EQ(joined_words("a" + fits, true), std::string(76, 'a') + "\n    bbbb");
    EXPECT_EQ(joined_words(" a \t b ", false), "a b");
}

TEST(Printing, JsonStringsAreValid)
{
    Options options;
    options.json = true;
    Printer printer(options);
    printer.pair("", "n", "q\"\\\x01\xc3\xa9\xff");
    EXPECT_EQ(printer.text(), "[\n  {\"name\": \"n\", \"value\": \"q\\\"\\\\\\u0001\xc3\xa9\\ufffd\"}\n]\n");
}

TEST(Remarks, NameOverriddenSettingsAndCommentsThatAreNone)
{
    const auto remarks = main_cf_remarks("a = 1\na = 2 # x\nsmtp_use_tls = yes\n", "f", true);
    ASSERT_EQ(remarks.size(), 3u);
    EXPECT_EQ(remarks[0], "f, line 2: overriding earlier entry: a=1");
    EXPECT_EQ(remarks[1], "f, line 2: #comment after other text is not allowed: \"# x\"");
    EXPECT_EQ(main_cf_remarks("smtp_use_tls = yes\n", "f", false).size(), 0u);
}

TEST(BounceTemplates, BadFilesAreRefused)
{
    for (const char* text :
         {"x", "failure_template = y", "nosuch_template = <<E\nE\n", "delay_template = <<E\nopen\n"})
        EXPECT_FALSE(read_templates(text, "f")) << text;
}

TEST(BounceTemplates, WhatIsWrittenReadsBack)
{
    const std::string written = written_templates(own_templates());
    const auto read = read_templates(written, "f");
    ASSERT_TRUE(read) << read.error().context;
    EXPECT_EQ(written_templates(*read), written);
}

} // namespace
} // namespace bulkhead::postconf
