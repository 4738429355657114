<?php

declare(strict_types=1);

use Demo\Page;

require __DIR__ . '/../src/start.php';

$window = is_string($_GET['window'] ?? null) ? substr($_GET['window'], 0, 20) : 'Window';
Page::beginPane('stock', "$window window – php-sse");
?>
<header class="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-base-300 px-4 py-2">
  <h1 class="font-semibold"><?= Page::text($window) ?> window</h1>
  <p id="state" class="state" role="status">Not connected</p>
  <button type="button" id="add" class="btn btn-ghost btn-sm ml-auto">Add a row</button>
</header>
<div class="min-h-0 flex-1 overflow-auto" tabindex="0" role="region" aria-label="Stock">
  <table class="table table-sm">
    <thead><tr><th scope="col" class="w-1/2">Item</th><th scope="col">Shelf</th><th scope="col">Quantity</th><th scope="col"><span class="sr-only">Remove</span></th></tr></thead>
    <tbody id="rows"></tbody>
  </table>
</div>
<p id="note" class="border-t border-base-300 px-4 py-2 text-sm text-base-content/70" role="status"></p>
<?php
Page::end();
