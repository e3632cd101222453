// Keys, certificates and authorities as text, read before the jail.  What is in them is
// looked at by the contexts; key material never goes anywhere else.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace bulkhead::tls
{

// One private key with its chain, or several of them one after the other.
struct KeyChain {
    std::string label;  // the file names, for messages
    std::string keys;   // PEM; private keys are taken from here
    std::string chains; // PEM; empty: keys has both, each key in front of its chain
    ~KeyChain();        // overwrites the keys
    KeyChain() = default;
    KeyChain(KeyChain&&) = default;
    KeyChain& operator=(KeyChain&&) = default;
};

struct KeyFiles {
    std::vector<std::string> chain_files;
    // The older way: a certificate's chain and its key, for each kind of key.
    struct Pair {
        std::string certificate;
        std::string key;
    };
    std::vector<Pair> pairs;

    // Every file that read_key_files() would read.
    std::vector<std::string> paths() const;
};

// chain_files stand above pairs; pairs without a certificate, or with "none", are left out.
Result<std::vector<KeyChain>> read_key_files(const KeyFiles& files);

// The text of a CA file and of all files of a CA folder that `openssl rehash` has named.
Result<std::string> read_authorities(const std::string& file, const std::string& folder);

// Where the system keeps its authorities.
std::string default_authority_folder();

} // namespace bulkhead::tls
