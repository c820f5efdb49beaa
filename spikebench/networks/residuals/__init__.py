"""How a sublayer joins the stream of the network: one file a residual."""
