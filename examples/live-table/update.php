<?php

require 'database.php';

database()->prepare('UPDATE stock SET pieces = ? WHERE id = ?')->execute([(int) $_POST['pieces'], (int) $_POST['id']]);
SseTrigger::push('stock');                  // after the commit
