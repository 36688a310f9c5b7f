"""An OpenID provider of our own on loopback, which can be told to lie."""
