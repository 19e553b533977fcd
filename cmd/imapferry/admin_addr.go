package main

// defaultAdmin is where serve listens for operators and where the other commands look for it.
const defaultAdmin = "127.0.0.1:9143"
