<?php

// Stands for what gets prices from somewhere. `examples/run` starts it beside the server.

echo "The worker publishes prices.\n";
$prices = ['ABC' => 100.0, 'XYZ' => 20.0, 'PHP' => 8.5];
while (true) {
    $symbol = array_rand($prices);
    $prices[$symbol] *= 1 + random_int(-100, 100) / 10_000;
    // `async`: the next price comes soon, nobody has to wait for this one.
    sse_publish("ticker.$symbol", ['symbol' => $symbol, 'price' => round($prices[$symbol], 2)], mode: 'async');
    usleep(50_000);
}
